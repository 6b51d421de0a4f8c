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
