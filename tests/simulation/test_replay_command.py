"""`folkways replay` reproduces a log without a model, and tells whatever was changed in it."""

from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from review_runs import DIRECTOR, copied, critiqued, played, rows, scene_file

from folkways.cli import main
from folkways.errors import UserError
from simulation.episode.call import KEPT_REPLY, _kept
from simulation.replay.reproduction import reproduce
from simulation.replay.stored_episode import PLAYED
from simulation.store.pack import pack

TABLES = (*PLAYED, "scenarios", "personas", "cultures", "runs")
STOP = [{"rule": "agreement", "every": 2}]
"""A rule that a referee decides."""


def scenes(folder: Path) -> list[str]:
    """Write scenes in which everything calls a model that can."""
    rule = {"rule": "deal", "every": 1}
    return [
        scene_file(folder, 3, id="all-at-once", policy="simultaneous"),
        scene_file(folder, 5, id="bids", policy="bidding", stop=STOP),
        scene_file(
            folder, 3, id="phases", policy="moderator", stop=STOP,
            phases=[{"id": "first", "until": {"rule": rule, "turns": 3}}, {"id": "then"}],
        ),
    ]  # fmt: skip


def run_of(folder: Path, model: str, **fields: Any) -> Path:
    chosen = {"name": f"replay_models:{model}"} if model in ("breaking", "failing", "slow") else {
        "name": "review_runs:player"
    }  # fmt: skip
    return played(folder, *scenes(folder), model=chosen | fields.pop("settings", {}), **fields)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was judged as well."""
    loop = {"model": DIRECTOR, "rewrites": 2}
    run = run_of(tmp_path_factory.mktemp("run"), "player", in_loop=loop, replicates=2)
    assert critiqued(run) == "done"
    return run


def assert_same_play(run: Path, again: Path) -> None:
    """Assert that a store holds what is played in another one, clocks included."""
    with duckdb.connect(str(run / "log.duckdb"), read_only=True) as con:
        con.execute(f"attach '{again / 'log.duckdb'}' as again (read_only)")
        for table in TABLES:
            own = f"from {table}" + (" where step > 0" if table == "calls" else "")
            for one, other in ((own, f"from again.{table}"), (f"from again.{table}", own)):
                assert con.execute(f"({one}) except all ({other})").fetchall() == [], table
        assert con.execute("from again.templates except from templates").fetchall() == []


def test_a_packed_run_is_replayed_too(run: Path, tmp_path: Path) -> None:
    assert list(pack(run, str(tmp_path / "packed"), 2))
    done = reproduce(tmp_path / "packed", quiet=True)
    assert (done.episodes, done.faulty) == (6, 0)


def test_a_replay_reproduces_the_store(run: Path, tmp_path: Path) -> None:
    done = reproduce(run, out=tmp_path / "again", quiet=True)
    calls = rows(run, "select count(*) filter (step > 0), count(*) filter (step = 0) from calls")
    assert (done.calls, done.left_aside) == calls[0] and done.prompts == done.calls
    assert done.left_aside > 0 and (done.episodes, done.faulty) == (6, 0)
    assert rows(run, "select count(*) from drafts")[0][0] > 20
    assert_same_play(run, tmp_path / "again")
    assert reproduce(tmp_path / "again", quiet=True).faulty == 0


@pytest.mark.parametrize(
    ("model", "fields", "reason"),
    [
        ("player", {"budget": {"tokens": 9_000}, "concurrency": 1}, "budget"),
        ("player", {"budget": {"tokens": 30_000}, "concurrency": 8}, "budget"),
        ("breaking", {"replicates": 4}, "error"),
        ("failing", {"replicates": 4}, "endpoint-failure"),
        ("failing", {"replicates": 4, "settings": {"reply_form": "script"}}, "endpoint-failure"),
        ("slow", {"limits": {"turns": 6, "wall_s": 0.05}}, "wall-limit"),
        ("player", {"limits": {"turns": 6, "tokens": 3000}}, "token-limit"),
        ("player", {"in_loop": {"model": DIRECTOR}, "budget": {"tokens": 16_000},
                    "concurrency": 1}, "budget"),
    ],
)  # fmt: skip
def test_episodes_that_were_cut_short_are_reproduced(
    model: str, fields: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    run = run_of(tmp_path, model, **fields)
    assert (reason,) in rows(run, "select distinct exit_reason from episodes")
    done = reproduce(run, out=tmp_path / "again", quiet=True)
    assert done.faults == [] and done.prompts == done.calls > 0
    assert_same_play(run, tmp_path / "again")


TAMPERED = {
    "update turns set text = 'I never said this.' where turn = 2": "turns.text, row 2",
    "update turns set audience = [] where turn = 3": "turns.audience, row 3",
    "update calls set reply = replace(reply, 'My ', 'Our ') where purpose = 'act'": "the rebuilt "
    "prompt has hash",
    "update calls set model = 'another' where call = 2": "calls.model, row 2: the log has 'anoth",
    "update calls set role = null where purpose = 'act'": "the log has 'None', the replay '",
    "update calls set prompt_hash = 'beef' where call = 4": "the log says beef",
    "delete from calls where call = 5": "",
    "insert into happenings (from happenings limit 1)": "happenings: the log has '",
    "update choices set why = 'by the toss of a coin' where step = 1": "choices.why, row 1",
    "update drafts set feedback = 'Well done.' where turn = 1 and draft = 1": "drafts.feedback",
    "update roles set goal = 'You want it all.'": "",
    "update episodes set exit_reason = 'agreement'": "episodes.exit_reason",
    "update episodes set seed = seed + 1": "",
    "update templates set text = text || ' ' where name = 'json'": "templates.text of",
    "update cultures set name = 'Albion' where culture_id = 'GBR'": "cultures.name of",
}  # fmt: skip


@pytest.mark.parametrize(("statement", "told"), TAMPERED.items())
def test_a_log_that_was_tampered_with_is_told(
    run: Path, statement: str, told: str, tmp_path: Path
) -> None:
    copy = copied(run, tmp_path)
    with duckdb.connect(str(copy / "log.duckdb")) as con:
        con.execute(statement)
    done = reproduce(copy, quiet=True)
    assert done.faulty >= 1 and told in done.faults[0].what


def test_a_changed_template_is_named(run: Path, tmp_path: Path) -> None:
    copy = copied(run, tmp_path)
    with duckdb.connect(str(copy / "log.duckdb")) as con:
        hashes = "(select template_hash from templates where name = 'referee')"
        con.execute(f"update calls set template_hash = 'old' where template_hash = {hashes}")
        con.execute(f"update templates set template_hash = 'old' where template_hash = {hashes}")
    done = reproduce(copy, quiet=True)
    assert 0 < done.faulty < done.episodes
    assert "the template 'referee' has changed since; its hash was old" in done.faults[0].what


def test_what_differs_is_left_out_of_the_new_store(run: Path, tmp_path: Path) -> None:
    copy = copied(run, tmp_path)
    with duckdb.connect(str(copy / "log.duckdb")) as con:
        con.execute(
            "update turns set text = 'No.' where turn = 2 and "
            "episode_id = (select min(episode_id) from episodes)"
        )
    done = reproduce(copy, out=tmp_path / "again", quiet=True)
    assert (done.faulty, done.episodes) == (1, 6)
    assert rows(tmp_path / "again", "select count(*) from episodes") == [(5,)]


def test_the_command_says_what_was_checked(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["replay", str(run)])
    told = capsys.readouterr()
    assert ended.value.code == 0 and "the replay is equal to the log" in told.out
    assert "6/6 episodes" in told.err and "reviews" in told.out
    copy = copied(run, tmp_path)
    id_ = rows(copy, "select min(episode_id) from episodes")[0][0]
    with duckdb.connect(str(copy / "log.duckdb")) as con:
        con.execute("update turns set text = 'A\x1b[2Jb' where turn = 2 and episode_id = ?", [id_])
    for asked, code in (([], 1), ([id_[:9]], 1)):
        with pytest.raises(SystemExit) as ended:
            main(["replay", str(copy), *asked, "--quiet"])
        told = capsys.readouterr()
        assert ended.value.code == code and f"{id_}  turns.text, row 2" in told.out
        assert "\x1b" not in told.out and not told.err


def test_what_cannot_be_replayed_is_one_clear_line(run: Path, tmp_path: Path) -> None:
    id_ = rows(run, "select min(episode_id) from episodes")[0][0]
    near = id_[:-2] + "zz"
    with pytest.raises(UserError, match=f"no episode begins with '{near}'.*near: .*{id_}"):
        reproduce(run, near, quiet=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(UserError, match="exists already"):
        reproduce(run, out=tmp_path / "full", quiet=True)
    with pytest.raises(UserError, match="there is no run"):
        reproduce(tmp_path / "none", quiet=True)


@given(st.text(min_size=1, max_size=9), st.integers(1, 2 * KEPT_REPLY))
def test_a_reply_that_was_cut_is_not_cut_again(text: str, times: int) -> None:
    kept = _kept(text * times)
    assert _kept(kept) == kept and len(kept) < KEPT_REPLY + 50
