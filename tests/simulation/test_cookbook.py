"""The cookbook's queries count what they say: no attempt twice, no two runs as one, no replicate as
if it were a scene."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from sample_store import DINNER, branched_run, cookbook, sample_run
from scipy import stats

from simulation.config import RunConfig
from simulation.plan import make_plan
from simulation.run import launch
from simulation.store.reader import open_reader, run_query
from simulation.store.writer import Store

SECOND_RUN = (
    "insert into runs by name select * replace ('second' as run_id) from runs",
    "insert into episodes select 'two-' || episode_id, 'two-' || content_hash, attempt, 'second', "
    "* exclude (episode_id, content_hash, attempt, run_id) from episodes",
    *(f"insert into {table} select 'two-' || episode_id, * exclude (episode_id) from {table}"
      for table in ("roles", "turns", "calls", "intents", "verdicts")),
    "update episodes set conditioning = 'none' where run_id = 'second'",
)  # fmt: skip
"""The sample's episodes once more, as another run of the same scenes."""
PRICES = "update calls set cost = case when {} then 0.01 else null end"


def answer(con: duckdb.DuckDBPyConnection, number: int) -> list[dict[str, Any]]:
    """Return the rows of a query of the cookbook."""
    query = next(query for question, query in cookbook() if question.startswith(f"{number}. "))
    found = run_query(con, query)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def test_costs_of_playing_do_not_grow_when_somebody_critiques(tmp_path: Path) -> None:
    critique = (
        "insert into calls by name select * replace (90 as call, 'critique' as purpose, "
        f"{{}} as cost) from calls where episode_id = '{DINNER}' and call = 1"
    )
    query = (
        "select play_cost, review_cost, cost, unpriced_calls from conversations "
        f"where episode_id = '{DINNER}'"
    )
    priced = PRICES.format(f"episode_id <> '{DINNER}' or call > 2")
    found = []
    for name, extra in (
        ("a", []),
        ("b", [critique.format("0.5")]),
        ("c", [critique.format("null")]),
    ):
        (tmp_path / name).mkdir()
        with open_reader(sample_run(tmp_path / name, priced, *extra)) as con:
            found += con.execute(query).fetchall()
    assert found == [
        (pytest.approx(0.07), None, pytest.approx(0.07), 2),
        (pytest.approx(0.07), 0.5, pytest.approx(0.57), 2),
        (pytest.approx(0.07), None, pytest.approx(0.07), 3),
    ]


def test_dollars_per_episode_are_of_the_episodes_that_count(tmp_path: Path) -> None:
    with open_reader(branched_run(tmp_path)) as con:
        plain = answer(con, 5)
    (tmp_path / "priced").mkdir()
    change = PRICES.format("endpoint is null")
    with open_reader(sample_run(tmp_path / "priced", change)) as con:
        found = {(row["played_by"], row["purpose"]): row for row in answer(con, 5)}
        spent = con.execute("select sum(play_cost), count(*) from conversations "
                            "where model = 'fake'").fetchall()[0]  # fmt: skip
    acts = found["fake", "act"]
    # 26 turns of seven episodes; the budget's victim, played again, has one more that is not here.
    assert (acts["calls"], acts["episodes"], acts["unpriced_calls"]) == (26, 7, 0)
    assert acts["dollars_per_episode"] == pytest.approx(0.26 / 7)
    assert found["other", "act"]["dollars_per_episode"] == pytest.approx(0.02)
    assert found["fake", "bid"]["cached_share"] is None, "the engine does not tell"
    assert spent == (pytest.approx(0.28), 7)
    assert sum(row["calls"] for row in plain) == 30, "neither an attempt twice nor a branch"
    assert {row["unpriced_calls"] for row in plain if row["played_by"] == "fake"} == {26, 1}


def test_norms_count_no_attempt_and_no_branch_twice(tmp_path: Path) -> None:
    with open_reader(branched_run(tmp_path)) as con:
        found = {row["norm"]: row for row in answer(con, 16)}
    # One of two dinners ran out of budget and was played again; two of six transfers were cut.
    assert {norm: row["episodes"] for norm, row in found.items()} == {
        "elders-first": 2, "orders": 4, "credit": 1
    }  # fmt: skip
    assert found["elders-first"]["settled"] == 0.5 and found["credit"]["walked_out"] == 1


def test_completed_is_what_was_not_cut_short(tmp_path: Path) -> None:
    with open_reader(sample_run(tmp_path)) as con:
        for source in ("conversations", "latest_episodes"):
            query = f"select exit_reason from {source} where not completed order by all"
            assert con.execute(query).fetchall() == [("error",), ("model-failure",)]
        lost = con.execute("select sum(cut_short) from review_funnel").fetchall()
    assert lost == [(2,)]
    (tmp_path / "failing").mkdir()
    failed = (
        "update turns set failure = 'timeout' "
        "where episode_id = 'cccc000000000003' and speaker = 'clerk'"
    )
    with open_reader(sample_run(tmp_path / "failing", failed)) as con:
        query = "select completed from conversations where episode_id = 'cccc000000000003'"
        assert con.execute(query).fetchall() == [(False,)], "the clerk failed in all of its turns"
        lost = con.execute("select sum(cut_short) from review_funnel").fetchall()
    assert lost == [(3,)]


@pytest.mark.parametrize("number", [17, 26, 27, 28])
def test_pairs_are_of_one_run(tmp_path: Path, number: int) -> None:
    (tmp_path / "one").mkdir()
    label = (
        "insert into intents values ('cccc000000000003', 1, 'judge', 'Orders.', 'cultural', 'x', "
        "null, timestamp '2026-03-02 09:00:00', null), ('cccc000000000004', 1, 'judge', 'Orders.', "
        "'generic', null, null, timestamp '2026-03-02 09:00:00', null)"
    )
    with open_reader(sample_run(tmp_path / "one", label)) as con:
        alone = answer(con, number)
    with open_reader(sample_run(tmp_path, label, *SECOND_RUN)) as con:
        together = answer(con, number)
        views = ("conversations", "turns_readable", "who_spoke_to_whom", "review_funnel")
        for view in views:
            counts = con.execute(f"select run_id, count(*) from {view} group by all order by all")
            (_, first), (_, second) = counts.fetchall()
            assert first == second, view
    assert sum(row["pairs"] for row in alone) == 2, "a dinner and a transfer"
    for told in ("dimensions", "none"):
        assert [row | {"conditioning": "dimensions"} for row in together
                if row["conditioning"] == told] == alone  # fmt: skip


def test_intervals_of_pairs_cover_what_they_say(tmp_path: Path) -> None:
    """Ten scenes with an effect of their own, six replicates each, no difference on average."""
    trials, scenes, replicates = 1000, 10, 6
    rng = np.random.default_rng(7)
    of_scene = np.repeat(rng.normal(0, 100, (trials, scenes, 1)), replicates, axis=2)
    difference = (of_scene + rng.normal(0, 100, of_scene.shape)).round().astype(int)
    Store(tmp_path).create()
    with duckdb.connect(str(tmp_path / "log.duckdb")) as con:
        con.execute("create temp table drawn as select i, unnest(?::integer[]) as d, "
                    "generate_subscripts(?::integer[], 1) - 1 as n from range(1) r(i)",
                    [difference.ravel().tolist()] * 2)  # fmt: skip
        con.execute(
            "insert into episodes by name select culture_id || n as episode_id, episode_id as "
            "content_hash, 1 as attempt, 'r' as run_id, 's' || (n // $2) % $1 as scenario_id, "
            "scenario_id as scenario_hash, culture_id, 'en' as language, n % $2 as replicate, "
            "1 as seed, 'm' || n // ($1 * $2) as model, 'json' as reply_form, 'random' as policy, "
            "'turn-limit' as exit_reason, 1 as turns, timestamp '2026-01-01' as started_at, "
            "1 as wall_s, 'none' as conditioning from drawn, (values ('JPN'), ('MEX')) "
            "c(culture_id)",
            [scenes, replicates],
        )
        con.execute(
            "insert into turns by name select 'JPN' || n as episode_id, 1 as turn, 1 as step, 'a' "
            "as speaker, 'speak' as action, 'x' as text, [] as addressees, [] as audience, "
            "false as whisper, 1 as call, 1000 + d as words from drawn union all "
            "select 'MEX' || n, 1, 1, 'a', 'speak', 'x', [], [], false, 1, 1000 from drawn"
        )
    with open_reader(tmp_path) as con:
        found = answer(con, 26)
    assert {(row["pairs"], row["scenarios"]) for row in found} == {(scenes * replicates, scenes)}
    covered = np.mean([row["low"] <= 0 <= row["high"] for row in found])
    pairs = difference.reshape(trials, -1)
    error = pairs.std(axis=1, ddof=1) / np.sqrt(pairs.shape[1])
    as_if_independent = np.mean(np.abs(pairs.mean(axis=1)) <= 1.96 * error)
    assert len(found) == trials and 0.935 <= covered <= 0.965
    assert as_if_independent < 0.75, "what the query would cover if replicates were scenes"


def test_quantiles_of_students_t(tmp_path: Path) -> None:
    with open_reader(sample_run(tmp_path)) as con:
        for df in (1, 2, 3, 4, 7, 12, 30, 200):
            found = con.execute("select student_95(?)", [df]).fetchall()[0][0]
            assert found == pytest.approx(stats.t.ppf(0.975, df), abs=0.005)
        assert con.execute("select student_95(0)").fetchall() == [(None,)]


def test_two_who_are_alone_hear_each_other_in_the_form_script(tmp_path: Path) -> None:
    config = RunConfig.model_validate(
        {
            "name": "played", "scenarios": ["hose-after-midnight"], "cultures": ["MEX", "JPN"],
            "model": {"name": "fake", "reply_form": "script"}, "out": str(tmp_path),
        }
    )  # fmt: skip
    assert launch(make_plan(config), limit=None, fresh=False, quiet=True) == "done"
    with open_reader(tmp_path / "played") as con:
        assert con.execute("select distinct len(roles) from conversations").fetchall() == [(2,)]
        assert con.execute("select count(*) from turns where addressees <> []").fetchall() == [(0,)]
        assert {row["culture_id"] for row in answer(con, 3)} == {"JPN", "MEX"}
        said = con.execute("select count(*) from turns_readable where words > 0").fetchall()
        assert con.execute("select sum(turns) from who_spoke_to_whom").fetchall() == said


def test_the_times_in_the_docs_are_what_they_say(tmp_path: Path) -> None:
    with open_reader(sample_run(tmp_path)) as con:
        found = con.execute(
            "select started_at, started_at at time zone 'utc' at time zone 'Asia/Tokyo' "
            f"from episodes where episode_id = '{DINNER}'"
        ).fetchall()
    assert [str(value) for value in found[0][:2]] == ["2026-03-01 08:10:00", "2026-03-01 17:10:00"]
    text = re.sub(r"\s+", " ", (Path(__file__).parents[2] / "docs/sql.md").read_text())
    for expression in ("(now() at time zone 'utc') - started_at",
                       "started_at at time zone 'utc' at time zone 'Asia/Tokyo'",
                       'csv "from turns_readable order by episode_id, turn"'):  # fmt: skip
        assert expression in text
