"""Seats: each role played by another model, with its own form, and by rules and scripts."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from folkways.cli import main
from folkways.errors import UserError
from simulation.config import RunConfig, load_config
from simulation.plan import make_plan
from simulation.run import launch
from simulation.store.reader import open_reader

PLAYERS = '''
"""Players for a repeated prisoner's dilemma."""

OTHER = {"left_stall": "right_stall", "right_stall": "left_stall"}


def tit_for_tat(seen):
    """Keep at first, then do what the other has done last."""
    last = seen.known["price"][OTHER[seen.role]]
    return {"act": "answer", "answer": last if seen.made else "keep"}


def defect(seen):
    assert [offer.name for offer in seen.offers] == ["answer"]
    return {"act": "answer", "answer": "cut"}
'''
SCRIPT = 'plays:\n  "*": ["[answer keep]", "[answer cut]"]\n'


def _run(folder: Path, **more: object) -> Path:
    import yaml

    (folder / "stall_players.py").write_text(PLAYERS, encoding="utf-8")
    (folder / "script.yaml").write_text(SCRIPT, encoding="utf-8")
    data = {
        "name": "stalls", "scenarios": ["two-stalls-one-square"], "cultures": ["GBR"],
        "replicates": 2, "model": {"name": "fake"}, "out": str(folder),
        "models": {
            "kind": {"name": "rule:stall_players:tit_for_tat"},
            "mean": {"name": "rule:stall_players:defect"},
        },
        "seats": {"left_stall": "kind", "*": "mean"}, "rotate": True,
    } | more  # fmt: skip
    config = folder / "run.yaml"
    config.write_text(yaml.safe_dump(data), encoding="utf-8")
    plan = make_plan(load_config(config))
    assert launch(plan, limit=None, fresh=False, quiet=True) == "done"
    return folder / "stalls"


def rows(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[object, ...]]:
    return con.execute(query).fetchall()


def test_rules_take_seats_and_rotate(tmp_path: Path) -> None:
    """Against one who always cuts tit-for-tat earns 0 + 9, and the other 5 + 9."""
    with open_reader(_run(tmp_path)) as con:
        played = rows(
            con,
            "select replicate, role, split_part(r.model, ':', 3), payoff from roles r "
            "join episodes using (episode_id) join payoffs using (episode_id, role) order by 1, 2",
        )
        assert played == [
            (0, "left_stall", "tit_for_tat", 9), (0, "right_stall", "defect", 14),
            (1, "left_stall", "defect", 14), (1, "right_stall", "tit_for_tat", 9),
        ]  # fmt: skip
        effects = rows(
            con,
            "select distinct split_part(model, ':', 3), model_effect, role_effect, "
            "round(interaction, 9) from model_by_role order by 1",
        )
        assert effects == [("defect", 2.5, 0, 0), ("tit_for_tat", -2.5, 0, 0)]
        called = rows(con, "select role, model, count(*) from calls group by all order by all")
        assert len(called) == 4 and {row[2] for row in called} == {10}
        names = {"left_stall": ("tit_for_tat", "defect"), "right_stall": ("defect", "tit_for_tat")}
        seated = {
            (role, f"rule:stall_players:{one}") for role, ones in names.items() for one in ones
        }
        speaking = ("turns_readable", "turn_choices")
        for view, role in (*((one, "speaker") for one in speaking), ("cooperation", "role")):
            assert set(rows(con, f"select {role}, model from {view}")) == seated, view
        both = "rule:stall_players:defect, rule:stall_players:tit_for_tat"
        assert rows(con, "select distinct model from efficiency") == [(both,)]


def test_seats_are_replayed_and_branched(tmp_path: Path) -> None:
    models = {
        "kind": {"name": "script:" + str(tmp_path / "script.yaml")},
        "other": {"name": "fake", "reply_form": "json"},
    }
    run = _run(tmp_path, models=models, seats={"left_stall": "kind", "*": "other"})
    with open_reader(run) as con:
        keeps = rows(
            con,
            "select count(*) from decisions join roles using (episode_id, role) "
            "where round = 1 and args ->> '$.answer' = 'keep' and model like 'script:%'",
        )
        assert keeps == [(2,)]
        ((id_,),) = rows(con, "select min(episode_id) from episodes")
    for arguments in (
        ["replay", str(run), "--quiet"],
        [
            "branch",
            str(run),
            str(id_),
            "--at",
            "2",
            "--set",
            "world.earned.left_stall=50",
            "--quiet",
        ],
        ["replay", str(run), "--quiet"],
    ):
        with pytest.raises(SystemExit) as done:
            main(arguments)
        assert not done.value.code, arguments
    with open_reader(run) as con:
        earned = rows(con, "select max(payoff) >= 50 from payoffs join branches using (episode_id)")
        assert earned == [(True,)]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"seats": {"cook": "a"}, "models": {"a": {"name": "fake"}}}, "seat: a role, a team or *"),
        ({"seats": {"*": "b"}, "models": {"a": {"name": "fake"}}}, "'b' is not one of models: a"),
        (
            {
                "seats": {"*": "a"},
                "models": {"a": {"name": "fake", "options": {"latency_s": 0.1}}},
            },
            "is given with other options already",
        ),
    ],
)
def test_seats_that_cannot_be_are_told(more: dict[str, object], told: str) -> None:
    data = {"name": "x", "scenarios": ["two-stalls-one-square"], "model": {"name": "fake"}}
    with pytest.raises((UserError, ValueError), match=told.replace("*", r"\*")):
        make_plan(RunConfig.model_validate(data | more))


def test_a_run_without_seats_says_nothing_of_them(tmp_path: Path) -> None:
    config = RunConfig.model_validate(
        {"name": "x", "scenarios": ["two-stalls-one-square"], "model": {"name": "fake"}}
    )
    assert not {"seats", "models", "rotate"} & make_plan(config).resolved.keys()


def test_a_persona_selector_gives_a_seat_and_rotates(tmp_path: Path) -> None:
    """Women are played by the model `kind`, everyone else by `mean`."""
    seats = [
        {"select": {"gender": "woman"}, "model": "kind"},
        {"seat": "*", "model": "mean"},
    ]
    for number, rotate in enumerate((False, True)):
        folder = tmp_path / str(number)
        folder.mkdir()
        run = _run(folder, seats=seats, rotate=rotate, replicates=6)
        with open_reader(run) as con:
            table = rows(
                con,
                "select replicate, role, gender, r.model like '%tit_for_tat' from roles r "
                "join episodes using (episode_id) join personas using (persona_hash) "
                "order by 1, 2",
            )
        assert len(table) == 12 and len({row[2] for row in table}) > 1
        for scene in (table[n : n + 2] for n in range(0, 12, 2)):
            moved = rotate and scene[0][0] % 2
            women = [row[2] == "woman" for row in scene]
            assert [row[3] for row in scene] == (women[::-1] if moved else women)
        with pytest.raises(SystemExit) as done:
            main(["replay", str(run), "--quiet"])
        assert not done.value.code
    with open_reader(run) as con:
        ((cells, effects),) = rows(con, "select count(*), count(role_effect) from model_by_role")
    assert cells == effects >= 3


def test_a_seat_by_name_goes_before_a_selector(tmp_path: Path) -> None:
    seats = [
        {"select": {"culture": "any"}, "model": "mean"},
        {"seat": "right_stall", "model": "kind"},
    ]
    with open_reader(_run(tmp_path, seats=seats, rotate=False, replicates=1)) as con:
        told = rows(con, "select role, split_part(model, ':', 3) from roles order by role")
    assert told == [("left_stall", "defect"), ("right_stall", "tit_for_tat")]


@pytest.mark.parametrize(
    ("seats", "told"),
    [
        ([{"select": {"age": [120, 130]}, "model": "a"}], "nobody of .* personas .* meets {'age'"),
        ([{"select": {"shoe": 42}, "model": "a"}], "shoe"),
        ([{"select": {"gender": "woman"}, "model": "b"}], "'b' is not one of models: a"),
        ([{"seat": "*", "select": {"gender": "woman"}, "model": "a"}], "either seat or select"),
        ([{"model": "a"}], "either seat or select"),
        ([{"seat": "cook", "model": "a"}], "seat: a role, a team or \\*"),
    ],
)
def test_selectors_that_cannot_be_are_told_in_one_line(
    seats: list[dict[str, object]], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    import yaml

    data = {"name": "x", "scenarios": ["two-stalls-one-square"], "model": {"name": "fake"}}
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(data | {"models": {"a": {"name": "fake"}}, "seats": seats}))
    with pytest.raises(SystemExit) as done:
        main(["run", str(path), "--dry-run"])
    err = capsys.readouterr().err.strip()
    assert done.value.code == 1 and len(err.splitlines()) == 1 and re.search(told, err), err
