"""Agreement of judges and people, and intervals, against published values and another program."""

import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import duckdb
import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_store import sample_run

from simulation.review.agreement import make_intervals
from simulation.store.reader import open_reader
from simulation.store.writer import FILE, Store

EXAMPLE = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""
"""Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, part C: four observers, twelve
units, values missing. Nominal .743; part E: interval .849.
"""
Ratings = Sequence[Sequence[str | float | None]]
"""One row a rater, one column a unit."""


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    run = tmp_path_factory.mktemp("run")
    Store(run).create()
    with duckdb.connect(str(run / FILE)) as con:
        con.execute(
            "create temp table given (dimension varchar, culture_id varchar, unit varchar, "
            "rater varchar, label varchar, score double)"
        )
        yield con


def alphas(
    con: duckdb.DuckDBPyConnection, ratings: Ratings, cultures: Sequence[str] = ("GBR",)
) -> dict[str | None, tuple[int, int, float, float | None]]:
    """Return units, ratings, share of unanimous units and alpha by culture; None is all of them."""
    rows = [
        ("d", cultures[unit % len(cultures)], f"u{unit}", f"r{rater}",
         value if isinstance(value, str) else None, None if isinstance(value, str) else value)
        for rater, row in enumerate(ratings) for unit, value in enumerate(row)
    ]  # fmt: skip
    con.execute("delete from given")
    columns = [[row[n] for row in rows] for n in range(6)]
    kinds = ("varchar",) * 5 + ("double",)
    con.execute(
        "insert into given select " + ", ".join(f"unnest(?::{kind}[])" for kind in kinds), columns
    )
    found = con.execute("from krippendorff('given')").fetchall()
    assert {row[0] for row in found} <= {"d"}
    assert len({row[1] for row in found}) == len(found)
    return {row[1]: row[2:6] for row in found}


def parsed(text: str, kind: type) -> Ratings:
    lines = text.strip().split("\n")
    return [[None if value == "." else kind(value) for value in line.split()] for line in lines]


@pytest.mark.parametrize(("kind", "alpha"), [(str, 0.743), (float, 0.849)])
def test_the_published_example_with_missing_values(
    con: duckdb.DuckDBPyConnection, kind: type, alpha: float
) -> None:
    units, ratings, unanimous, found = alphas(con, parsed(EXAMPLE, kind))[None]
    assert (units, ratings) == (11, 40), "a unit with one rating is left out"
    assert unanimous == 8 / 11
    assert found is not None and round(found, 3) == alpha


def test_the_published_examples_of_two_observers(con: duckdb.DuckDBPyConnection) -> None:
    # Part A, ten units, two values: 1 - (20 - 1) * 4 / (14 * 6).
    binary = parsed("\n0 1 0 0 0 0 0 0 1 0\n1 1 1 0 0 1 0 0 0 0\n", str)
    assert alphas(con, binary)[None] == (10, 20, 0.6, pytest.approx(1 - 19 * 4 / 84))
    # Part B, twelve units, five values: .692.
    nominal = parsed("\na a b b d c c c e d d a\nb a b b b c c c e d d d\n", str)
    units, ratings, unanimous, alpha = alphas(con, nominal)[None]
    assert (units, ratings, unanimous) == (12, 24, 0.75)
    assert alpha is not None and round(alpha, 3) == 0.692


def test_by_hand(con: duckdb.DuckDBPyConnection) -> None:
    # Pairs (1, 2) and (4, 4): observed (1 + 1) / 4, expected (2 * (1 + 9 + 9 + 4 + 4)) / 12.
    assert alphas(con, [[1, 4], [2, 4]])[None] == (2, 4, 0.5, pytest.approx(1 - 0.5 / 4.5))
    # Systematic disagreement is below 0: observed 1, expected 4 * 2 / 12.
    assert alphas(con, [["a", "b"], ["b", "a"]])[None] == (2, 4, 0, pytest.approx(1 - 12 / 8))
    assert alphas(con, [["a", "b"], ["a", "b"]])[None] == (2, 4, 1, 1)


@pytest.mark.parametrize("value", ["good", 0, 0.1, 6.7, -4.3, 1e9 + 0.1])
@pytest.mark.parametrize("raters", [2, 3, 7])
def test_nothing_varies(con: duckdb.DuckDBPyConnection, value: Any, raters: int) -> None:
    for units in (1, 5):
        expected = units, units * raters, 1, None
        assert alphas(con, [[value] * units] * raters) == {"GBR": expected, None: expected}


def test_nothing_to_compare(con: duckdb.DuckDBPyConnection) -> None:
    assert alphas(con, []) == alphas(con, [[None, None]]) == {}
    assert alphas(con, [["good", "bad", "good"]]) == {}, "nobody to agree with"
    assert alphas(con, [["good", None], [None, "bad"]]) == {}
    # One pair is enough, and the rest is left out.
    assert alphas(con, [[1, 7, None], [2, None, 9]])[None] == (1, 2, 0, 0)


LABELS = st.sampled_from(["good", "bad", "aligned", "läuft", "'); --"])
WHOLE = st.integers(-10, 10).map(float)
FINE = st.integers(-40, 40).map(lambda tenths: tenths / 10)


@st.composite
def matrices(draw: st.DrawFn) -> list[list[Any]]:
    """Ratings of one kind, as many as may be missing."""
    kind = draw(st.sampled_from([LABELS, WHOLE, FINE]))
    raters, units = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    row = st.lists(st.none() | kind | kind | kind, min_size=units, max_size=units)
    return draw(st.lists(row, min_size=raters, max_size=raters))


def reference(ratings: Ratings) -> tuple[int, int, float, float | None] | None:
    """Return what the package `krippendorff` says, the rest counted apart."""
    columns = [[v for v in column if v is not None] for column in zip(*ratings, strict=True)]
    pairable = [column for column in columns if len(column) > 1]
    if not pairable:
        return None
    values = sorted({v for column in pairable for v in column})
    unanimous = sum(len({*column}) == 1 for column in pairable) / len(pairable)
    counts = len(pairable), sum(map(len, pairable)), unanimous
    if len(values) == 1:
        return *counts, None
    if isinstance(values[0], str):
        matrix = [[np.nan if v is None else values.index(v) if v in values else 99 for v in row]
                  for row in ratings]  # fmt: skip
        level = "nominal"
    else:
        matrix = [[np.nan if v is None else v for v in row] for row in ratings]
        level = "interval"
    data = np.array(matrix, dtype=float)
    return *counts, float(krippendorff.alpha(reliability_data=data, level_of_measurement=level))


@given(ratings=matrices())
@settings(max_examples=150)
def test_alpha_is_that_of_the_package(con: duckdb.DuckDBPyConnection, ratings: Ratings) -> None:
    expected, found = reference(ratings), alphas(con, ratings)
    if expected is None:
        assert found == {}
    else:
        *counts, alpha = found[None]
        assert (*counts,) == pytest.approx(expected[:3])
        assert alpha == (None if expected[3] is None else pytest.approx(expected[3], abs=1e-6))
        assert alpha is None or alpha <= 1
        assert found["GBR"] == pytest.approx(found[None])


@given(ratings=matrices())
@settings(max_examples=40)
def test_each_culture_is_reckoned_alone(con: duckdb.DuckDBPyConnection, ratings: Ratings) -> None:
    found = alphas(con, ratings, ("CHN", "DEU"))
    for start, culture in enumerate(("CHN", "DEU")):
        alone = alphas(con, [row[start::2] for row in ratings])
        assert found.get(culture) == pytest.approx(alone.get(None))
    together = alphas(con, ratings).get(None)
    assert found.get(None) == pytest.approx(together)


@given(ratings=matrices(), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_who_rated_does_not_matter(
    con: duckdb.DuckDBPyConnection, ratings: Ratings, seed: int
) -> None:
    """Alpha is about units: raters may change places from unit to unit."""
    rng = random.Random(seed)
    columns = [rng.sample(column, len(column)) for column in zip(*ratings, strict=True)]
    shuffled = [[*row] for row in zip(*columns, strict=True)]
    assert alphas(con, shuffled).get(None) == pytest.approx(alphas(con, ratings).get(None))


# The views ----------------------------------------------------------------------------------------


def judged(*rows: str) -> str:
    """Return an insertion of verdicts: episode, role, dimension, sample, model, label, score."""
    values = ", ".join(rows)
    return (
        "insert into verdicts select episode, role, 'x', dimension, sample, model, label, score, "
        "'confident', 'So.', [], failure, timestamp '2026-03-02', null from (values "
        f"{values}) t(episode, role, dimension, sample, model, label, score, failure)"
    )


def test_judges_and_samples_are_raters_and_roles_are_units(tmp_path: Path) -> None:
    dinner, transfer, earlier = "'aaaa000000000001'", "'cccc000000000004'", "'bbbb000000000002'"
    run = sample_run(
        tmp_path, "delete from verdicts",
        judged(
            f"({dinner}, 'son', 'goal', 0, 'a', null, 1, null)",
            f"({dinner}, 'son', 'goal', 0, 'b', null, 2, null)",
            f"({dinner}, 'uncle', 'goal', 0, 'a', null, 4, null)",
            f"({dinner}, 'uncle', 'goal', 1, 'a', null, 4, null)",
            # A unit with one usable answer, and one of an attempt that does not count.
            f"({dinner}, 'mother', 'goal', 0, 'a', null, 9, null)",
            f"({dinner}, 'mother', 'goal', 1, 'a', null, null, 'parse-failure')",
            f"({earlier}, 'son', 'goal', 0, 'a', null, 0, null)",
            f"({earlier}, 'son', 'goal', 1, 'a', null, 9, null)",
            f"({dinner}, null, 'quality', 0, 'a', 'good', null, null)",
            f"({dinner}, null, 'quality', 1, 'a', 'good', null, null)",
            f"({transfer}, null, 'quality', 0, 'a', 'good', null, null)",
            f"({transfer}, null, 'quality', 1, 'a', 'bad', null, null)",
            f"({transfer}, null, 'alone', 0, 'a', 'bad', null, null)",
        ),
        # The same question answered twice is one rating: the later one.
        judged(f"({dinner}, 'son', 'goal', 0, 'a', null, 9, null)"),
        "update verdicts set judged_at = timestamp '2026-03-01' where score = 9 and role = 'son'",
    )  # fmt: skip
    with open_reader(run) as con:
        query = "select * exclude run_id from judge_agreement order by dimension, culture_id"
        found = con.execute(query).fetchall()
    goal = (2, 4, 0.5, pytest.approx(1 - 0.5 / 4.5))
    assert found == [
        ("goal", "JPN", *goal), ("goal", None, *goal),
        ("quality", "JPN", 1, 2, 1, None), ("quality", "MEX", 1, 2, 0, 0),
        # 1 - 3 * 2 / (16 - 9 - 1)
        ("quality", None, 2, 4, 0.5, 0),
    ]  # fmt: skip


def test_two_runs_in_one_store_are_not_judged_as_one(tmp_path: Path) -> None:
    dinner, transfer = "'aaaa000000000001'", "'cccc000000000004'"
    run = sample_run(
        tmp_path, "delete from verdicts", "delete from ratings",
        f"update episodes set run_id = 'other' where episode_id = {transfer}",
        judged(
            f"({dinner}, null, 'quality', 0, 'a', 'good', null, null)",
            f"({dinner}, null, 'quality', 1, 'a', 'good', null, null)",
            f"({transfer}, null, 'quality', 0, 'a', 'good', null, null)",
            f"({transfer}, null, 'quality', 1, 'a', 'bad', null, null)",
        ),
        "insert into ratings by name select episode as episode_id, 'quality' as dimension, "
        "who as annotator, label, timestamp '2026-03-01' as imported_at "
        f"from (values ({dinner}, 'ann', 'good'), ({dinner}, 'ben', 'good'),"
        f"({transfer}, 'ann', 'good'), ({transfer}, 'ben', 'bad')) t(episode, who, label)",
        "update calls set endpoint = 'one' where endpoint is null",
    )  # fmt: skip
    with open_reader(run) as con:
        for view in ("judge_agreement", "people_agreement"):
            query = f"select run_id, units, unanimous from {view} where culture_id is null"
            assert sorted(con.execute(query).fetchall()) == [("other", 1, 0), ("trial", 1, 1)]
        query = "select run_id, units from critics_people_agreement where culture_id is null"
        assert con.execute(query).fetchall() == [("trial", 2)]
        query = "select run_id, sum(calls) > 0 from endpoint_loads group by all order by all"
        assert con.execute(query).fetchall() == [("other", True), ("trial", True)]


def test_critics_together_against_each_person(tmp_path: Path) -> None:
    dinner, transfer, doubted = "'aaaa000000000001'", "'cccc000000000004'", "'dddd000000000005'"
    rated = ", ".join(
        f"({episode}, {role}, '{dimension}', '{who}', {label}, {score}, null, '2026-03-0{day}')"
        for episode, role, dimension, who, label, score, day in [
            (dinner, "'son'", "goal", "ann", "null", 2, 1),
            (dinner, "'son'", "goal", "ben", "null", 4, 1),
            (dinner, "null", "quality", "ann", "'bad'", "null", 1),
            (dinner, "null", "quality", "ann", "'good'", "null", 2),
            (transfer, "null", "quality", "ann", "'good'", "null", 1),
            # The critics are divided on it.
            (doubted, "null", "quality", "ann", "'good'", "null", 1),
            (dinner, "'mother'", "goal", "ann", "null", 1, 1),  # judged by nobody else
        ]
    )  # fmt: skip
    run = sample_run(
        tmp_path, "delete from verdicts", "delete from ratings",
        judged(
            f"({dinner}, 'son', 'goal', 0, 'a', null, 1, null)",
            f"({dinner}, 'son', 'goal', 1, 'a', null, 3, null)",
            f"({dinner}, null, 'quality', 0, 'a', 'good', null, null)",
            f"({transfer}, null, 'quality', 0, 'a', 'bad', null, null)",
            f"({doubted}, null, 'quality', 0, 'a', 'bad', null, null)",
            f"({doubted}, null, 'quality', 0, 'b', 'good', null, null)",
        ),
        f"insert into ratings select *, null from (values {rated})",
    )  # fmt: skip
    with open_reader(run) as con:
        query = "select * exclude run_id from {} order by all"
        together = "critics_people_agreement where culture_id is null"
        found = con.execute(query.format(together)).fetchall()
        pairs = con.execute("select unit, count(*) from critics_and_people group by all").fetchall()
        people = con.execute(query.format("people_agreement")).fetchall()
    # Pairs (2, 2) and (4, 2): observed 8 / 4, expected 2 * 3 * 4 / 12.
    assert found == [
        ("goal", None, 2, 4, 0.5, pytest.approx(0)), ("quality", None, 2, 4, 0.5, 0)
    ]  # fmt: skip
    assert len(pairs) == 4 and {count for _, count in pairs} == {2}
    assert not [unit for unit, _ in pairs if unit.startswith(doubted.strip("'"))]
    assert people == [("goal", "JPN", 1, 2, 0, 0), ("goal", None, 1, 2, 0, 0)]


# Intervals ----------------------------------------------------------------------------------------


def wilson(con: duckdb.DuckDBPyConnection, k: int, n: int) -> tuple[float, float]:
    found = con.execute("select wilson_low(?, ?), wilson_high(?, ?)", [k, n, k, n]).fetchone()
    assert found is not None
    return found[0], found[1]


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17:857, table I, method 3; the others by hand.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611),
     (1, 29, 0.0061, 0.1718), (5, 10, 0.2366, 0.7634), (1, 1, 0.2065, 1), (0, 1, 0, 0.7935)],
)  # fmt: skip
def test_published_intervals(
    con: duckdb.DuckDBPyConnection, k: int, n: int, low: float, high: float
) -> None:
    assert wilson(con, k, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(max_examples=80)
def test_an_interval_holds_where_the_score_test_does(
    con: duckdb.DuckDBPyConnection, counts: tuple[int, int]
) -> None:
    """Wilson's definition: its ends are the shares from which k of n lies 1.96 standard errors."""
    k, n = counts
    low, high = wilson(con, k, n)
    assert 0 <= low <= k / n <= high <= 1 or math.isclose(high, 1, abs_tol=1e-6)
    z = NormalDist().inv_cdf(0.975)
    for end in (low, high):
        if 1e-6 < end < 1 - 1e-6:
            assert abs(k / n - end) / math.sqrt(end * (1 - end) / n) == pytest.approx(z, abs=1e-5)
    mirrored = wilson(con, n - k, n)
    assert (low, high) == pytest.approx((1 - mirrored[1], 1 - mirrored[0]), abs=1e-6)


def test_an_interval_of_nothing_is_all_there_is(con: duckdb.DuckDBPyConnection) -> None:
    assert wilson(con, 0, 0) == (0, 1)


def test_the_interval_of_alpha_holds_what_other_draws_give(con: duckdb.DuckDBPyConnection) -> None:
    """Two raters agree on 80 of 100 labels, so that alpha is about .6; the interval is that of a
    bootstrap over units with another program's alpha, and the same each time."""
    rng = random.Random(5)
    pairs = [(one, one if rng.random() < 0.8 else "ab"[one == "a"]) for one in "ab" * 50]
    found = alphas(con, [[one for one, _ in pairs], [two for _, two in pairs]])
    con.execute("create temp view given_ratings as select *, null::varchar as run_id from given")
    make_intervals(con, "given_ratings")
    query = "select culture_id, low, high from agreement_intervals order by all"
    intervals = con.execute(query).fetchall()
    make_intervals(con, "given_ratings")
    assert con.execute(query).fetchall() == intervals and len(intervals) == 2
    table = np.array([["ab".index(label) for label in pair] for pair in pairs], float)
    drawn = [
        krippendorff.alpha(
            table[[rng.randrange(100) for _ in pairs]].T, level_of_measurement="nominal"
        )
        for _ in range(400)
    ]
    _, low, high = intervals[-1]
    assert low < (found[None][3] or 0) < high
    assert [low, high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]).tolist(), abs=0.04)
