"""`folkways branch` starts new episodes in the middle of a stored one and shares its beginning."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from review_runs import DIRECTOR, copied, critiqued, labelled, played, rows, scene_file
from scenes import text_of

from folkways.cli import main
from folkways.errors import UserError
from folkways.registry import Code, CodeNotAllowed, allow_code, set_code
from simulation.config import RunConfig
from simulation.episode.budget import BudgetConfig
from simulation.plan import make_plan
from simulation.replay.branch import SETTABLE, Changes
from simulation.replay.branching import Branched, Wanted, branch
from simulation.replay.player import replay
from simulation.replay.reproduction import reproduce
from simulation.replay.scripted_turn import ScriptedTurn
from simulation.run import launch
from simulation.store.run_lock import locked

ROOT = Path(__file__).parents[2]
GOAL = "You want to keep the zebra in the cellar."


@pytest.fixture(autouse=True)
def leave() -> None:
    """The stores of these tests name models by import path; the user knows them."""
    allow_code()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four scenes; nobody changes it."""
    folder = tmp_path_factory.mktemp("run")
    stop = [{"rule": "agreement", "every": 2}]
    scenes = [
        scene_file(folder, 2, id="in-turn"),
        scene_file(folder, 3, id="at-once", policy="simultaneous"),
        scene_file(folder, 5, id="bids", policy="bidding", stop=stop, limits={"turns": 8}),
        scene_file(
            folder, 3, id="phases", policy="moderator", stop=stop,
            phases=[{"id": "first", "until": {"turns": 3}}, {"id": "then", "brief": "It rains."}],
            events=[{"id": "knock", "at": 4, "text": "There is a knock."}],
        ),
    ]  # fmt: skip
    return played(folder, *scenes, in_loop={"model": DIRECTOR, "rewrites": 1})


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return copied(run, tmp_path)


def parent(run: Path, scene: str = "in-turn") -> str:
    id_: str = rows(run, f"select episode_id from latest_episodes where scenario_id = '{scene}'")[
        0
    ][0]
    return id_


def started(run: Path, episode: str, at: int, *sets: str, **given: Any) -> Branched:
    budget = BudgetConfig(tokens=given.pop("tokens", None))
    return branch(run, Wanted(episode, at, sets, **given), 8, budget, quiet=True)


def turns(run: Path, episode: str) -> list[tuple[Any, ...]]:
    columns = "* exclude (episode_id, words, cut, thought)"
    return rows(run, f"select {columns} from turns where episode_id = '{episode}' order by turn")


def prompts(run: Path, episode: str) -> list[tuple[int, str | None, str]]:
    """Return step, role and text of every prompt of a role that an episode made itself."""
    with duckdb.connect(str(run / "log.duckdb"), read_only=True) as con:
        calls = asyncio.run(replay(con, episode)).calls
        steps = dict(
            con.execute("select call, step from calls where episode_id = ?", [episode]).fetchall()
        )
    return [
        (steps[call.call], call.role, text_of(call.prompt))
        for call in calls
        if call.purpose != "draft-critic"
    ]


@pytest.mark.parametrize(
    ("scene", "at"), [("in-turn", 0), ("in-turn", 3), ("at-once", 3), ("bids", 5), ("phases", 3)]
)
def test_a_branch_shares_exactly_the_first_turns(scene: str, at: int, copy: Path) -> None:
    id_ = parent(copy, scene)
    done = started(copy, id_, at, n=3)
    assert done.reason == "done" and len(set(done.ids)) == 3
    before = turns(copy, id_)
    after = []
    for one in done.ids:
        found = turns(copy, one)
        assert found[:at] == before[:at] and len(found) > at
        after.append(found[at:])
    texts = {tuple(turn[5] for turn in rest) for rest in [before[at:], *after]}
    assert len(texts) == 4, "each goes on in its own way"
    family = (id_, *done.ids)
    assert rows(copy, "select count(distinct seed), count(distinct scenario_hash), "
                f"count(distinct replicate) from episodes where episode_id in {family}") == [
        (4, 1, 1)
    ]  # fmt: skip
    assert reproduce(copy, quiet=True).faults == []


def test_a_model_that_a_store_names_by_import_path_needs_leave(copy: Path) -> None:
    set_code(Code())
    before = rows(copy, "select count(*) from episodes")
    with pytest.raises(CodeNotAllowed, match="review_runs:player' is code, and is run only with"):
        started(copy, parent(copy), 2)
    assert rows(copy, "select count(*) from episodes") == before
    with pytest.raises(CodeNotAllowed, match="review_runs:director' is code"):
        started(copy, parent(copy), 2, model="review_runs:alpha")  # which the user has named


def test_a_changed_goal_is_told_only_after_the_turn(copy: Path) -> None:
    id_ = parent(copy)
    changes = (f"ada.goal={GOAL}", "ada.culture=JPN", "bela.secret=The cellar is let.")
    one = started(copy, id_, 4, *changes).ids[0]
    told = prompts(copy, one)
    assert told and min(step for step, _, _ in told) == 5
    for _, role, text in told:
        if role == "ada":
            assert GOAL in text and "Japanese" in text and "ada-goal" not in text
            assert "The cellar is let." not in text
        elif role == "bela":
            assert GOAL not in text and "The cellar is let." in text and "British" in text
    assert all(GOAL not in text for _, _, text in prompts(copy, id_))
    cast = rows(copy, "select role, goal, secret, r.culture_id, p.culture_id from roles r "
                f"join personas p using (persona_hash) where episode_id = '{one}'")  # fmt: skip
    assert cast == [
        ("ada", GOAL, None, "JPN", "GBR"),
        ("bela", "You want the bela-goal.", "The cellar is let.", "GBR", "GBR"),
    ]
    assert rows(copy, "select c.name from cultures c join roles r using (culture_hash) where "
                "r.culture_id = 'JPN'") == [("Japan",)]  # fmt: skip
    assert rows(copy, "select parent_id, at_turn, number, changes ->> '$.set.\"ada.culture\"' "
                "from branches") == [(id_, 4, 1, "JPN")]  # fmt: skip
    assert reproduce(copy, quiet=True).faults == []


@pytest.mark.parametrize(
    ("scene", "at", "say", "speaker", "act"),
    [
        ("in-turn", 3, "I have sold the oven.", "bela", ("speak", "I have sold the oven.")),
        ("in-turn", 3, "ada: I have, Bela.", "ada", ("speak", "I have, Bela.")),
        ("in-turn", 2, "Bela: [shuts the window]", "bela", ("non-verbal", "shuts the window")),
        ("at-once", 3, "Cleo: Note this: I agree.", "cleo", ("speak", "Note this: I agree.")),
        ("bids", 5, "Enough of it.", None, ("speak", "Enough of it.")),
    ],
)
def test_a_given_turn_is_spoken_and_marked(
    scene: str, at: int, say: str, speaker: str | None, act: tuple[str, str], copy: Path
) -> None:
    id_ = parent(copy, scene)
    one = started(copy, id_, at, say=say).ids[0]
    given = turns(copy, one)[at]
    assert (given[4], given[5]) == act and speaker in (None, given[3]) and given[-1] == 0
    assert [turn[-1] == 0 for turn in turns(copy, one)].count(True) == 1
    calls = rows(copy, f"select count(*) from calls where episode_id = '{one}' and step = "
                 f"{given[1]} and purpose in ('act', 'draft-critic')")  # fmt: skip
    assert calls == [(0,)]
    assert rows(copy, "select turn, line from branch_turns where given") == [
        (at + 1, rows(copy, f"select line from transcript('{one}') where turn = {at + 1}")[0][0])
    ]
    later = [asked for asked in prompts(copy, one) if asked[0] > given[1]]
    heard = [text for _, role, text in later if role in given[7]]
    assert heard and all(act[1] in text for text in heard)
    assert reproduce(copy, quiet=True).faults == []


def test_the_same_command_goes_on_where_it_stopped(copy: Path) -> None:
    id_ = parent(copy)
    first = started(copy, id_[:10], 2, f"ada.goal={GOAL}", n=2).ids
    again = started(copy, id_, 2, f"ada.goal={GOAL}", n=4).ids
    assert again[:2] == first and len(again) == 4
    assert started(copy, id_, 2, f"ada.goal={GOAL}", n=4).ids == again
    assert not {*started(copy, id_, 2, n=4).ids} & {*again}, "other changes are other branches"
    assert rows(copy, "select count(*) from branches") == [(8,)]
    assert rows(copy, "select stage, episodes, settings ->> 'parent' from launches "
                "where stage = 'branch' order by started_at") == [
        ("branch", 2, id_), ("branch", 2, id_), ("branch", 4, id_)
    ]  # fmt: skip
    other = started(copy, id_, 2, n=1, model="fake").ids
    assert rows(copy, f"select model, parent_model from branch_pairs where episode_id = "
                f"'{other[0]}'") == [("fake", "review_runs:player")]  # fmt: skip
    assert reproduce(copy, quiet=True).faults == []


def test_a_branch_can_be_branched(copy: Path, tmp_path: Path) -> None:
    one = started(copy, parent(copy), 2, f"ada.goal={GOAL}").ids[0]
    later = started(copy, one, 4, "bela.culture=MEX", say="bela: So be it.").ids[0]
    earlier = started(copy, one, 1).ids[0]
    assert turns(copy, later)[:4] == turns(copy, one)[:4]
    assert turns(copy, earlier)[:1] == turns(copy, one)[:1]
    for id_ in (later, earlier):
        assert all(GOAL in text for _, role, text in prompts(copy, id_) if role == "ada")
    assert rows(copy, f"select role, culture_id from roles where episode_id = '{later}'") == [
        ("ada", "GBR"), ("bela", "MEX")
    ]  # fmt: skip
    done = reproduce(copy, out=tmp_path / "again", quiet=True)
    assert done.faults == [] and done.branches == 3
    again = rows(tmp_path / "again", "from branches order by episode_id")
    assert again == rows(copy, "from branches order by episode_id")
    assert rows(tmp_path / "again", "select * from calls order by episode_id, call") == rows(
        copy, "select * from calls order by episode_id, call"
    )


def test_what_is_shared_costs_nothing_and_counts_nowhere(copy: Path) -> None:
    views = ("conversations", "turns_readable", "who_spoke_to_whom", "review_funnel", "repetition",
             "turn_choices", "secret_leaks")  # fmt: skip
    before = {view: rows(copy, f"from {view} order by all") for view in views}
    spent = rows(copy, "select sum(calls), sum(prompt_tokens), sum(retries) from token_costs")[0]
    id_ = parent(copy, "bids")
    ids = started(copy, id_, 5, n=2).ids
    assert {view: rows(copy, f"from {view} order by all") for view in views} == before
    shared = rows(copy, "select count(*), count(prompt_tokens), count(completion_tokens), "
                  "count(cost), sum(attempts) from calls where endpoint = 'parent'")[0]  # fmt: skip
    assert shared[0] > 0 and shared[1:] == (0, 0, 0, 0)
    own = rows(copy, "select count(*), sum(prompt_tokens), sum(attempts - 1)::bigint from calls "
               f"where episode_id in {tuple(ids)} and endpoint is null")[0]  # fmt: skip
    now = rows(copy, "select sum(calls), sum(prompt_tokens), sum(retries) from token_costs")[0]
    assert now == tuple(a + b for a, b in zip(spent, own, strict=True))
    launched = rows(copy, "select prompt_tokens from launches where stage = 'branch'")
    assert launched == [(own[1],)]
    stages = rows(copy, "select sum(calls), sum(prompt_tokens) from stage_costs")[0]
    assert stages == now[:2]
    assert critiqued(copy) == labelled(copy) == "done"
    judged = {one for (one,) in rows(copy, "select distinct episode_id from verdicts")}
    assert {*ids, id_} < judged
    assert rows(copy, f"select count(*) from branch_pairs b join consensus c using (episode_id) "
                f"where b.parent_id = '{id_}'")[0][0] > 0  # fmt: skip


def test_pairs_compare_what_followed(copy: Path) -> None:
    id_ = parent(copy)
    started(copy, id_, 3, n=1, say="ada: So be it, then.")
    pair = rows(
        copy,
        "select at_turn, turns, parent_turns, turns_after, parent_turns_after, "
        "words_after > 5, parent_words_after > 5, first_difference, exit_reason, "
        "parent_exit_reason, shared_words between 0.01 and 0.99 from branch_pairs",
    )[0]
    assert pair == (3, 6, 6, 3, 3, True, True, 4, "turn-limit", "turn-limit", True)  # fmt: skip
    sides = rows(copy, "select side, turns_on, turn, given from branch_turns order by all")
    assert sides == [
        (side, n, 3 + n, side == "branch" and n == 1) for side in ("branch", "parent")
        for n in (1, 2, 3)
    ]  # fmt: skip


def test_a_budget_ends_branches_and_the_same_command_plays_them_again(copy: Path) -> None:
    id_ = parent(copy, "bids")
    done = started(copy, id_, 2, n=2, tokens=6000)
    assert done.reason == "budget-tokens"
    assert started(copy, id_, 2, n=2).reason == "done"
    reasons = rows(copy, "select attempt, exit_reason <> 'budget' from episodes join branches "
                   "using (episode_id) order by all")  # fmt: skip
    assert (2, True) in reasons and (1, False) in reasons
    assert rows(copy, "select count(*) from branch_pairs where exit_reason <> 'budget'") == [(2,)]
    assert reproduce(copy, quiet=True).faults == []


def test_the_run_goes_on_beside_its_branches(tmp_path: Path) -> None:
    data = {
        "name": "trial", "scenarios": ["soup-before-dusk"], "cultures": ["MEX", "JPN"],
        "model": {"name": "fake"}, "out": str(tmp_path), "replicates": 2,
    }  # fmt: skip
    plan = make_plan(RunConfig.model_validate(data))
    assert launch(plan, limit=2, fresh=False, quiet=True) == "limit"
    run = tmp_path / "trial"
    started(run, parent(run, "soup-before-dusk"), 1, n=3)
    assert launch(plan, limit=None, fresh=False, quiet=True) == "done"
    assert rows(run, "select count(*), count(distinct content_hash) from episodes") == [(7, 7)]
    assert rows(run, "select count(*) from conversations") == [(4,)]


BAD: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "has 6 turns and ended with turn-limit; give 0 to 5": ((6,), {}),
    "--at -1: episode": ((-1,), {}),
    "--n 0: give 1 or more": ((1,), {"n": 0}),
    "unknown role 'adda'; known: ada, bela": ((1, "adda.goal=x"), {}),
    "--set ada.knows: allowed are culture, goal, secret": ((1, "ada.knows=x"), {}),
    "not of the form ROLE.FIELD=VALUE": ((1, "ada=x"), {}),
    "--set ada.goal: the value is empty": ((1, "ada.goal= "), {}),
    "--set ada.goal is given twice": ((1, "ada.goal=x", "ada.goal=y"), {}),
    "--set ada.goal: String should have at most": ((1, f"ada.goal={'x' * 601}"), {}),
    "unknown culture 'XYZ'": ((1, "ada.culture=XYZ"), {}),
    "--say is empty": ((1,), {"say": "  "}),
    "unknown role 'belaa'": ((1,), {"say": "belaa: Good."}),
    "unknown role 'listen'": ((1,), {"say": "listen: Good."}),
    "cannot be an act of bela: nothing is said": ((1,), {"say": "bela: ..."}),
}


@pytest.mark.parametrize(("told", "wanted"), BAD.items())
def test_bad_input_is_one_clear_line(
    told: str, wanted: tuple[tuple[Any, ...], dict[str, Any]], run: Path
) -> None:
    (at, *sets), given = wanted
    with pytest.raises(UserError) as error:
        started(run, parent(run), at, *sets, **given)
    assert told in str(error.value) and "\n" not in str(error.value)
    assert rows(run, "select count(*) from branches") == [(0,)]


def test_what_cannot_be_branched_is_refused(copy: Path) -> None:
    id_ = parent(copy)
    with pytest.raises(UserError, match=f"no episode begins with '{id_[:-1]}z'.*near: .*{id_}"):
        started(copy, id_[:-1] + "z", 1)
    with pytest.raises(UserError, match=r"turn 4 of episode .* made at once .* are 3 and 6"):
        started(copy, parent(copy, "at-once"), 4)
    with pytest.raises(UserError, match="ada, bela, cleo are to act at once there; name one"):
        started(copy, parent(copy, "at-once"), 3, say="Well, well.")
    with locked(copy), pytest.raises(UserError, match="is being written by another process"):
        started(copy, id_, 1)
    with duckdb.connect(str(copy / "log.duckdb")) as con:
        con.execute("update calls set reply = replace(reply, 'My', 'Our') where call = 1")
    with pytest.raises(UserError, match="the rebuilt prompt has hash"):
        started(copy, id_, 3)
    assert rows(copy, "select count(*) from branches") == [(0,)]


def test_a_culture_nobody_is_told_of_cannot_be_changed(tmp_path: Path) -> None:
    run = played(tmp_path, scene_file(tmp_path, 2), conditioning="none")
    with pytest.raises(UserError, match="conditioning none"):
        started(run, parent(run, "scene-2"), 1, "ada.culture=JPN")


def test_the_command_drains_at_ctrl_c_and_goes_on(tmp_path: Path) -> None:
    run = played(tmp_path, scene_file(tmp_path, 2), model={"name": "fake"})
    command = [sys.executable, "-m", "folkways", "branch", str(run), parent(run, "scene-2")]
    asked = [*command, "--at", "2", "--n", "200", "--concurrency", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests/support")}
    slow = subprocess.Popen(
        [*asked, "--model", "replay_models:slow"], cwd=ROOT, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    patience = time.monotonic() + 60
    while not rows_or_none(run) and time.monotonic() < patience:
        time.sleep(0.1)
    slow.send_signal(signal.SIGINT)
    out, err = slow.communicate(timeout=60)
    assert slow.returncode == 130 and "goes on where this one stopped" in out, err
    before = rows(run, "select count(*) from branch_pairs")[0][0]
    assert 0 < before < 200
    done = started(run, parent(run, "scene-2"), 2, n=before + 1, model="replay_models:slow")
    assert len(done.ids) == before + 1
    assert reproduce(run, quiet=True).faults == []


def rows_or_none(run: Path) -> bool:
    """Tell whether a branch is stored; False while the file is being written."""
    try:
        return rows(run, "select count(*) from branches")[0][0] > 0
    except duckdb.Error:
        return False


def test_a_transcript_says_where_a_branch_comes_from(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    id_ = parent(copy)
    with pytest.raises(SystemExit) as ended:
        said = ["--at", "2", "--say", "So be it."]
        main(["branch", str(copy), id_, *said, "--quiet", "--allow-code"])
    assert ended.value.code == 0
    one = capsys.readouterr().out.split()[0]
    with pytest.raises(SystemExit):
        main(["view", str(copy), one])
    told = " ".join(capsys.readouterr().out.split())
    assert f"branch of {id_} after turn 2; a person wrote turn 3" in told


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
roles = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True)
changes = st.builds(
    Changes,
    st.dictionaries(
        roles, st.dictionaries(st.sampled_from(SETTABLE), words, min_size=1), max_size=3
    ),
    st.none() | st.builds(ScriptedTurn, st.none() | roles, words),
)


@given(changes)
def test_changes_are_read_as_they_were_written(changes: Changes) -> None:
    assert Changes.from_json(changes.as_json()) == changes
    shuffled = Changes(dict(reversed([*changes.roles.items()])), changes.say)
    assert shuffled.as_json() == changes.as_json()
