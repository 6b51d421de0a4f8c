"""From a store of answers to results, against published reference points and sums by hand."""

from __future__ import annotations

import json
import math
import random
from collections import Counter, defaultdict
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pytest
import yaml
from survey_files import write_csv

from eval.config import EvalConfig, ModelRef, protocol
from eval.evaluate import evaluate, find_people
from eval.item import Item, load_items, preset
from eval.metrics.inglehart_welzel import fourteen_items
from eval.report.answers import load_given, load_grid
from eval.report.caveat import caveats
from eval.report.results import ALL, Results
from eval.report.score_table import individual_tables, individuals_by_country, score_tables
from eval.report.write import load_results, write_files
from eval.report.yardstick import Yardsticks, panels
from eval.respondents.marginals import load_marginals
from eval.respondents.survey import load_survey
from eval.respondents.synthetic import shares_of_sample, synthesise
from eval.survey.condition import Condition
from eval.survey.method import METHODS
from eval.survey.order import option_orders
from folkways.errors import UserError
from simulation.store.reader import open_reader
from simulation.store.record import Record
from simulation.store.writer import FILE, Store

THEN = datetime(2026, 1, 2, tzinfo=UTC).replace(tzinfo=None)
CLCA = ("CHN", "DEU", "GBR", "MEX")
ITEMS = load_items()
MIXED = ("Q1", "Q7", "Q56", "Q57", "Q119", "Q152", "Q182", "Q241")
"""Of every scale: two to eleven options, nominal (Q152), recoded (Q56, Q119), and two codes on one
point (Q241)."""


class Asked(NamedTuple):
    """A question to a model of the test."""

    country: str
    person: str | None
    item: Item
    order: tuple[int, ...]
    sample: int


def trial(folder: Path, items=MIXED, countries=CLCA, *, respondents=0, **options) -> Path:
    """Make an evaluation with items and people, but without answers."""
    options.setdefault("people", "synthetic" if respondents else "marginals")
    config = EvalConfig(
        name="trial", items=items, cultures=countries, respondents=respondents or 1,
        methods=("respondent" if respondents else "unaware",), **options,
    )  # fmt: skip
    run = folder / "trial"
    run.mkdir(parents=True)
    (run / FILE).write_bytes(blank_store())
    facts = {
        "runs": [{
            "run_id": "trial", "kind": "survey", "config": yaml.safe_dump(protocol(config)),
            "config_hash": "0", "versions": "{}", "git_commit": None, "created_at": THEN,
        }],
        "survey_items": [
            {"item_id": item.id, "topic": item.topic, "ask": item.ask, "scale": item.scale}
            for item in config.chosen_items()
        ],
        "survey_options": [
            {"item_id": item.id, "code": code, "point": item.point(code), "label": str(code)}
            for item in config.chosen_items() for code in item.scale_codes
        ],
    }  # fmt: skip
    Store(run).append([Record(find_people(config, run).rows() | facts, "facts")])
    return run


@cache
def blank_store() -> bytes:
    """Return the file of a store with nothing in it; to copy it is faster than to make another."""
    with TemporaryDirectory() as folder:
        Store(Path(folder)).create()
        return (Path(folder) / FILE).read_bytes()


def give(
    run: Path, method: str, say, *, model="mock", readout="logprobs", countries=None, attempt=1,
    samples=1, language="en",
) -> str:  # fmt: skip
    """Store what a model says to every question, and return the id of the condition.

    `say` returns probabilities by code, a code, None for a refusal, what was read strictly and
    leniently with the problem, or "" for a question that was not asked yet.
    """
    chosen = METHODS[method]
    style = "interview" if chosen.by_respondent else None
    condition = Condition(ModelRef(name="fake", label=model), method, style, language, readout)
    rows = []
    for country, person, item in _sheets(run, method, countries):
        for number, order in enumerate(option_orders(item, "balanced", 0)):
            for sample in range(samples):
                said = say(Asked(country, person, item, order, sample))
                if said != "":
                    key = {"arrangement": number, "sample": sample, "attempt": attempt}
                    row = {"condition_id": condition.id, "country": country, "item_id": item.id}
                    rows.append(row | key | {"respondent_id": person} | _reply(order, said))
    shared = {"survey_conditions": [condition.row() | {"wording": "x"}]}
    Store(run).append([Record({"survey_replies": rows}, "answered", shared)])
    return condition.id


def _sheets(run: Path, method: str, countries) -> list[tuple[str, str | None, Item]]:
    with Store(run).reading() as con:
        known = con.execute("select distinct country from survey_people order by 1").fetchall()
        homes = countries or [country for (country,) in known]
        items = [
            ITEMS[row[0]] for row in con.execute("select item_id from survey_items").fetchall()
        ]
        people = con.execute("select country, respondent_id from survey_respondents").fetchall()
    if not METHODS[method].by_respondent:
        people = [(home, None) for home in (homes if METHODS[method].by_culture else ["*"])]
    return [(*who, item) for who in people if who[0] in (*homes, "*") for item in items]


def _reply(order: tuple[int, ...], said) -> dict:
    row = {"shown": list(order), "prompt_hash": "0", "copied": False, "latency_s": 0.0}
    row |= {"asked_at": THEN}
    if isinstance(said, dict):
        found = [said.get(code, 0.0) for code in order]
        problem = None if sum(found) else "no mass"
        return row | {"probabilities": found, "mass": sum(found), "problem": problem}
    if not isinstance(said, tuple):
        said = (said, said, "refusal" if said is None else None)
    return row | {"strict": said[0], "lenient": said[1], "problem": said[2], "reply": "..."}


def score(run: Path, draws: int = 100) -> Results:
    with closing(open_reader(run)) as con:
        return load_results(con, run, THEN, draws)


def panels_of(run: Path):
    """Return panels with the number of answers that counts in each cell."""
    with closing(open_reader(run)) as con:
        grid, items = load_grid(con)
        protocol_ = yaml.safe_load(con.execute("select config from runs").fetchone()[0])
        return panels(list(load_given(con, grid, items, protocol_)), grid)


def value(
    results: Results, metric: str, country: str = ALL, who: str | None = None, panel: str = "1"
) -> float:
    """Return the one score, of the only series unless another or a baseline is named, which stands
    in the first panel unless another is named."""
    name = who or results.series[0].id
    found = [
        each.value for each in (*results.scores, *results.baselines)
        if (each.who, each.metric, each.country) == (name, metric, country)
        and each.panel in (None, panel)
    ]  # fmt: skip
    assert len(found) == 1, (name, metric, country, found)
    return math.nan if found[0] is None else found[0]


def individual(results: Results, measure: str, who: str | None = None):
    name = who or results.series[0].id
    (found,) = [
        i for i in results.individuals if (i.who, i.measure, i.country) == (name, measure, ALL)
    ]
    return found


def as_people(asked: Asked) -> dict[int, float]:
    """Say what people of the country do, code by code."""
    cell = load_marginals().cells.get((asked.country, asked.item.id))
    if cell is None:
        return dict.fromkeys(asked.order, 0.5 / len(asked.order))
    shares = zip(cell.codes, cell.shares, strict=True)
    return {code: share / 2 for code, share in shares if code in asked.order}


def uniform(asked: Asked) -> dict[int, float]:
    return dict.fromkeys(asked.order, 1 / len(asked.order))


def drawn(seed: object, say):
    """Return a model that says something else each time, the same for the same seed."""
    rng = random.Random(str(seed))
    return lambda asked: say(asked, rng)


def any_probabilities(asked: Asked, rng: random.Random) -> dict[int, float]:
    return {code: rng.random() / 12 for code in asked.order}


def any_text(asked: Asked, rng: random.Random):
    code, chance = rng.choice(asked.order), rng.random()
    if chance < 0.1:
        return None
    return (code, code, None) if chance < 0.7 else (None, code, None)


def truths(run: Path) -> dict[tuple[str, str], int]:
    """Return a code for what each respondent answered to each item."""
    with Store(run).reading() as con:
        rows = con.execute("from survey_truths").fetchall()
    return {
        (person, item): next(c for c in ITEMS[item].scale_codes if ITEMS[item].point(c) == point)
        for person, item, point in rows
    }


# What spec sheets of the two papers' data say


REFERENCE = {
    "people": ((0.3694, 0.3569, 0.3543, 0.3099), (0, 0, 0, 0)),
    "national-mode": ((0.3210, 0.3195, 0.3333, 0.2828), (0.3624, 0.3568, 0.3748, 0.4056)),
    "uniform": ((0.5250, 0.5207, 0.5046, 0.4201), (0.2711, 0.2717, 0.2535, 0.2106)),
    "first": ((0.6075, 0.6883, 0.6852, 0.5075), (0.5488, 0.6119, 0.6219, 0.5500)),
    "last": ((0.6887, 0.5603, 0.5299, 0.5167), (0.6105, 0.5156, 0.5054, 0.5640)),
}
"""CLCA's KL and its natural JS distance over the 44 items, by country."""
NOTHING = ((0.9748, 0.9705, 0.9544, 0.8699), (0.8326, 0.8326, 0.8326, 0.8326))
"""Of somebody who gives no valid answer."""


def test_baselines_and_plain_models_have_the_reference_values_of_clca(tmp_path):
    run = trial(tmp_path, "clca-44")
    give(run, "culture", uniform)
    give(run, "culture", lambda asked: asked.item.scale_codes[0], model="one", readout="text")
    give(run, "culture", lambda asked: None, model="none", readout="text")
    results = score(run)
    by_model = {series.model: series.id for series in results.series}
    wanted = REFERENCE | {
        by_model["mock"]: REFERENCE["uniform"], by_model["one"]: REFERENCE["first"],
        by_model["none"]: NOTHING,
    }  # fmt: skip
    for who, columns in wanted.items():
        for metric, column in zip(("clca_compat_kl", "clca_compat_js"), columns, strict=True):
            found = [value(results, metric, country, who) for country in CLCA]
            assert found == pytest.approx(column, abs=5e-4), (who, metric)
            assert value(results, metric, ALL, who) == pytest.approx(sum(found) / 4)


def test_baselines_have_the_reference_values_of_culturespa(tmp_path):
    countries = load_marginals().culturespa
    run = trial(tmp_path, "culturespa-259", countries)
    give(run, "unaware", uniform)
    results = score(run)
    wanted = {
        "last": 30.34, "first": 39.36, "uniform": 46.25, "middle": 57.95, "world-mode": 64.62,
        "mean of other countries' modes": 71.09, "national-mode": 100,
    }  # fmt: skip
    for who, number in wanted.items():
        assert value(results, "culturespa", ALL, who) == pytest.approx(number, abs=0.006), who
    # Ties among national modes go to the country that stands first in the published table.
    for who, usa, chn, deu in (
        ("world-mode", 68.54, 65.95, 64.83),
        ("mean of other countries' modes", 74.58, 73.01, 71.89),
        ("middle", 60.79, 57.67, 59.02),
    ):  # fmt: skip
        found = [value(results, "culturespa", home, who) for home in ("USA", "CHN", "DEU")]
        assert found == pytest.approx([usa, chn, deu], abs=0.006)
    items = {
        each.country: each.items for each in results.baselines
        if (each.who, each.metric) == ("world-mode", "culturespa")
    }  # fmt: skip
    assert (items[ALL], items["USA"], items["GBR"], items["CHN"]) == (259, 257, 246, 222)
    others = value(results, "culturespa", ALL, "other countries' mode")
    assert others == pytest.approx(61.88, abs=0.006)  # mean of the 153 pairs


def test_likeness_of_countries_is_that_of_culturespa(tmp_path):
    marginals = load_marginals()

    def modes_first(asked: Asked) -> dict[int, float]:
        """Of equally frequent answers people have the one that the source puts first."""
        cell = marginals.cells.get((asked.country, asked.item.id))
        said = as_people(asked)
        return said if cell is None else said | {cell.mode: said.get(cell.mode, 0) + 1e-6}

    run = trial(tmp_path, "culturespa-259", marginals.culturespa)
    give(run, "culture", modes_first)
    results = score(run)
    people, model = results.matrices
    at = people.countries.index
    pairs = {("USA", "CAN"): 71.3, ("USA", "ZWE"): 54.3, ("AUS", "NZL"): 86.6, ("UKR", "RUS"): 79.1,
             ("DEU", "AUS"): 78.9, ("NZL", "ZWE"): 45.6}  # fmt: skip
    for (one, two), number in pairs.items():
        assert people.scores[at(one)][at(two)] == pytest.approx(number, abs=0.06)
    assert people.mean == pytest.approx(61.88, abs=0.006) and people.correlation is None
    assert model.correlation == pytest.approx(1) and model.mean == pytest.approx(people.mean)
    assert value(results, "culturespa") == 100


def test_ties_favour_no_place_on_a_scale(tmp_path):
    """An engine that takes whatever stands first takes both ends of a scale, half of the time each,
    and so does one that takes what stands last; a flat read-out ties all codes."""
    run = trial(tmp_path, "culturespa-259", load_marginals().culturespa)
    give(run, "unaware", lambda asked: asked.order[0], model="first", readout="text")
    give(run, "unaware", lambda asked: asked.order[-1], model="last", readout="text")
    give(run, "unaware", uniform, model="flat")
    results = score(run)
    found = {
        series.model: value(results, "culturespa", ALL, series.id) for series in results.series
    }
    assert found["first"] == pytest.approx(found["last"])  # a rotation puts each option first once
    assert found["first"] == pytest.approx(34.87, abs=0.006)
    assert found["flat"] == pytest.approx(46.35, abs=0.006)  # of the options that are shown


def test_series_of_other_countries_are_not_ranked_together(tmp_path):
    run = trial(tmp_path, MIXED)
    give(run, "culture", drawn(1, any_probabilities), model="everywhere")
    give(run, "culture", drawn(1, any_probabilities), model="also")
    give(run, "culture", as_people, model="somewhere", countries=("DEU",))
    results = score(run)
    by_model = {series.model: series.id for series in results.series}
    whole, part = results.panels
    assert whole.series == (by_model["everywhere"], by_model["also"])
    assert (part.series, part.countries) == ((by_model["somewhere"],), ("DEU",))
    assert whole.countries == CLCA and whole.items == MIXED
    tables = [table for table in score_tables(results) if "Distance from people" in table.title]
    assert [len([row for row in table.rows if not row.apart]) for table in tables] == [2, 1]
    assert "4 countries, 8 items" in tables[0].title and "Germany, 8 items" in tables[1].title
    assert "Covers Germany." in tables[1].note
    for who in ("uniform", "first"):
        one = value(results, "tv", ALL, who, part.id)
        assert one == value(results, "tv", "DEU", who, whole.id)
        assert one != value(results, "tv", ALL, who, whole.id)
    # Against each other they are compared on what both have.
    (gap,) = [
        gap for gap in results.gaps
        if gap.metric == "tv" and {gap.one, gap.two} == {by_model["everywhere"], part.series[0]}
    ]  # fmt: skip
    there = value(results, "tv", "DEU", by_model["everywhere"])
    assert abs(gap.value) == pytest.approx(there)


# A model that is the people


def test_the_national_shares_are_no_distance_away(tmp_path):
    items = (*dict.fromkeys((*MIXED, *fourteen_items())),)
    run = trial(tmp_path, items)
    give(run, "culture", as_people)
    results = score(run)
    for country in (*CLCA, ALL):
        for metric in ("js_distance", "js_natural", "js_penalised", "clca_compat_js"):
            assert value(results, metric, country) == pytest.approx(0, abs=1e-6)
        for metric in ("tv", "w1", "tv_penalised", "w1_penalised"):
            assert value(results, metric, country) == pytest.approx(0, abs=1e-12)
        assert 0 < value(results, "kl", country) < 1e-4  # what smoothing 1000 answers leaves
        for metric in ("culturespa", "culturespa_penalised"):
            assert value(results, metric, country) == 100
        gold = value(results, "culturespa_mean", country)
        mode = value(results, "culturespa_mean", country, "national-mode")
        assert gold == pytest.approx(mode) and mode < 100
    people, model = results.matrices
    assert model.correlation == pytest.approx(1) and model.mean == people.mean
    places = {(point.who, point.country): point for point in results.points}
    for country in CLCA:
        theirs, its = places["people", country], places[results.series[0].id, country]
        assert its.survival_self_expression == pytest.approx(theirs.survival_self_expression)
        assert its.traditional_secular == pytest.approx(theirs.traditional_secular)
    assert [rates.mass for rates in results.rates] == pytest.approx([0.5] * 5, abs=0.05)


def test_the_respondents_own_answers_are_all_right(tmp_path):
    run = trial(tmp_path, "clca-44", ("CHN", "DEU", "MEX"), respondents=100)
    own = truths(run)
    give(run, "respondent", lambda asked: own.get((asked.person, asked.item.id)), readout="text")
    results = score(run)
    for measure in ("hard", "soft", "hard_penalised", "soft_penalised", "hard_corrected"):
        found = individual(results, measure)
        assert found.value == found.low == found.high == 1
        assert found.cells == len(own)
    # Where people did not answer, the published figure counts against the model.
    clca = individual(results, "accuracy_clca")
    assert clca.cells == 300 * 44 and clca.low < clca.value < clca.high
    assert clca.value == pytest.approx(len(own) / (300 * 44))
    floors = {floor.metric: floor for floor in results.floors if floor.answers == 100}
    for metric in ("kl", "js_distance", "js_natural", "tv", "w1"):
        floor = floors[metric]
        assert value(results, metric) == pytest.approx(
            floor.mean, abs=3 * (floor.high - floor.mean)
        )
    (scored,) = [s for s in results.scores if (s.metric, s.country) == ("tv", ALL)][:1]
    assert scored.floor == pytest.approx(floors["tv"].mean, rel=0.1)


def test_accuracy_is_told_by_culture_and_compared_on_the_same_people(tmp_path):
    run = trial(tmp_path, ("Q1", "Q2", "Q3", "Q7"), ("DEU", "GBR", "MEX"), respondents=20)
    own = truths(run)

    def right(asked: Asked):
        return own.get((asked.person, asked.item.id))

    def abroad(asked: Asked):  # right for Mexico alone, and wrong in all others
        code = right(asked)
        if asked.country == "MEX" or code is None:
            return code
        return next(each for each in asked.order if each != code)

    give(run, "respondent", right, model="right", readout="text", countries=["DEU", "MEX"])
    give(run, "respondent", abroad, model="abroad", readout="text")
    results = score(run)
    who = {each.model: each.id for each in results.series if each.reading == "text-lenient"}
    by_country = {(i.who, i.country): i.value for i in results.individuals if i.measure == "hard"}
    assert [by_country[who["right"], home] for home in ("all", "DEU", "MEX")] == [1, 1, 1]
    homes = ("all", "DEU", "GBR", "MEX")
    assert [by_country[who["abroad"], home] for home in homes] == [pytest.approx(1 / 3), 0, 0, 1]
    found = {
        gap.country: gap for gap in results.gaps
        if (gap.metric, gap.one, gap.two) == ("hard", who["abroad"], who["right"])
    }  # fmt: skip
    assert {home: gap.value for home, gap in found.items()} == {"all": -0.5, "DEU": -1, "MEX": 0}
    assert found["DEU"].low == found["DEU"].high == -1 and found["all"].p is not None
    titles = [table.title for table in individual_tables(results)]
    assert len(titles) == 2 * len({title.partition(":")[0] for title in titles})
    (line,) = [
        row.cells for table in individuals_by_country(results, "hard") for row in table.rows
        if row.cells[0].startswith("abroad") and "lenient" in row.cells[0]
    ]  # fmt: skip
    assert [cell.split()[0] for cell in line[1:]] == ["0.000", "0.000", "1.000"]


def test_the_published_measures_have_paired_differences(tmp_path):
    run = trial(tmp_path, ("Q1", "Q2", "Q3"), ("DEU", "MEX"))
    for model in ("a", "b"):
        give(run, "culture", drawn(model, any_probabilities), model=model)
    results = score(run)
    ids = {each.model: each.id for each in results.series}
    for metric in ("clca_compat_kl", "clca_compat_js"):
        (gap,) = [gap for gap in results.gaps if gap.metric == metric]
        one, two = (value(results, metric, ALL, ids[model]) for model in "ba")
        assert gap.value == pytest.approx(one - two)
        assert gap.low <= gap.value <= gap.high and 0 < gap.p <= 1


def test_accuracy_of_what_costs_nothing_stands_there_once_and_is_right(tmp_path):
    run = trial(tmp_path, MIXED, ("DEU", "MEX"), respondents=40)
    for model in "ab":
        give(run, "respondent", drawn(model, any_text), model=model, readout="text")
    results = score(run)
    own, marginals = truths(run), load_marginals()
    hits: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (person, name), code in own.items():
        item, home = ITEMS[name], person[:3]
        cell = marginals.cells[home, name].recoded(item.recode, item.other)
        shares = dict(zip(cell.codes, cell.shares, strict=True))
        hits["uniform"][home].append(1 / len(item.points))
        hits["people"][home].append(shares[item.point(code)])
        hits["national-mode"][home].append(max(shares, key=shares.get) == item.point(code))
    for who, by_home in hits.items():
        wanted = sum(sum(found) / len(found) for found in by_home.values()) / 2
        assert individual(results, "hard", who).value == pytest.approx(wanted)
    assert individual(results, "hard_corrected", "uniform").value == pytest.approx(0)
    assert individual(results, "hard", "uniform").low is None


# Every figure from the rows


def by_hand(
    run: Path, condition: str, reading: str
) -> dict[tuple[str, str], tuple[Counter, float]]:
    """Return weights by point, and of what is no answer, by country and item."""
    with Store(run).reading() as con:
        rows = con.execute(
            "select country, respondent_id, item_id, shown, probabilities, mass, strict, lenient "
            "from survey_replies where condition_id = ?", [condition]
        ).fetchall()  # fmt: skip
    sheets = defaultdict(list)
    for country, person, item, shown, probabilities, mass, strict, lenient in rows:
        said: dict[int | None, float] = {strict if reading == "text-strict" else lenient: 1.0}
        if reading == "logprobs":
            said = {code: p / mass for code, p in zip(shown, probabilities, strict=True)}
        sheets[country, person, item].append(said)
    found: dict[tuple[str, str], tuple[Counter, float]] = {}
    for (country, _, item), replies in sheets.items():
        points, invalid = found.get((country, item), (Counter(), 0.0))
        for said in replies:
            for code, weight in said.items():
                if code is None:
                    invalid += weight / len(replies)
                else:
                    points[ITEMS[item].point(code)] += weight / len(replies)
        found[country, item] = points, invalid
    return found


def distances(item: Item, human: dict[int, float], points: Counter, invalid: float, times: float):
    """Return every metric of one cell by its definition; `times` is answers for a weight of 1."""
    n, scale = sum(points.values()), item.points
    answers = n + invalid
    h = [human[point] for point in scale]
    rate = invalid / answers
    every = [points[point] / answers for point in scale] + [rate]
    compat = sum(
        p * (math.log(p) - q + math.log(sum(map(math.exp, every))))
        for p, q in zip(h, every, strict=False) if p
    )  # fmt: skip
    out = {"clca_compat_kl": compat, "clca_compat_js": js([*h, 0], every, math.e)}
    worst = ("js_penalised", "tv_penalised") + ("w1_penalised",) * (item.scale != "nominal")
    if not n:
        return out | dict.fromkeys(worst, 1.0)
    m = [points[point] / n for point in scale]
    smooth = [(points[point] * times + 0.5) / (n * times + 0.5 * len(scale)) for point in scale]
    out["kl"] = sum(p * math.log(p / q) for p, q in zip(h, smooth, strict=True) if p)
    out["js_distance"], out["js_natural"] = js(h, m, 2), js(h, m, math.e)
    out["tv"] = sum(abs(p - q) for p, q in zip(h, m, strict=True)) / 2
    if item.scale != "nominal":
        steps = [
            abs(sum(h[: k + 1]) - sum(m[: k + 1])) * (scale[k + 1] - scale[k])
            for k in range(len(scale) - 1)
        ]
        out["w1"] = sum(steps) / (scale[-1] - scale[0])
    plain = {"js_penalised": "js_distance", "tv_penalised": "tv", "w1_penalised": "w1"}
    return out | {name: (1 - rate) * out[plain[name]] + rate for name in worst}


def js(p, q, base):
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    halves = [
        sum(a * math.log(a / c, base) for a, c in zip(side, middle, strict=True) if a)
        for side in (p, q)
    ]
    return math.sqrt(max(0.0, sum(halves) / 2))


def mean(numbers) -> float:
    known = [number for number in numbers if number is not None]
    return sum(known) / len(known) if known else math.nan


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> tuple[Path, Results]:
    """A store with a series of every kind; CHN was not asked Q182 by design, nor Q241."""
    run = trial(tmp_path_factory.mktemp("many"), respondents=12)
    give(run, "unaware", drawn(1, any_probabilities))
    give(run, "unaware", drawn(2, any_text), readout="text", samples=3)
    give(run, "culture", drawn(3, any_probabilities))
    give(run, "culture", drawn(4, any_text), readout="text")
    give(run, "respondent", drawn(5, any_probabilities))
    give(run, "respondent", drawn(6, any_text), readout="text")
    return run, score(run)


def test_every_metric_is_the_mean_of_items_and_then_of_countries(many):
    run, results = many
    marginals = load_marginals()
    assert len(results.series) == 9
    for series in results.series:
        found = by_hand(run, series.condition, series.reading)
        times = 1.0 if series.by_respondent else 1000.0
        few = not series.by_respondent and series.reading != "logprobs"
        samples = 3.0 if series.method == "unaware" else 1.0
        means = defaultdict(list)
        for country in CLCA:
            cells = []
            for name in MIXED:
                cell = marginals.cells.get((country, name))
                cell = cell and cell.recoded(ITEMS[name].recode, ITEMS[name].other)
                said = found.get((country, name)) or found["*", name]
                if cell:
                    human = dict(zip(cell.codes, cell.shares, strict=True))
                    if few:  # KL counts every answer, in each order
                        times = samples * len(option_orders(ITEMS[name], "balanced", 0))
                    cells.append(distances(ITEMS[name], human, *said, times))
            metrics = {name for cell in cells for name in cell}
            if few:
                metrics.remove("kl")  # it would be one of the smoothing
                assert "kl" not in {s.metric for s in results.scores if s.who == series.id}
            for metric in metrics:
                wanted = mean(cell.get(metric) for cell in cells)
                means[metric].append(wanted)
                got = value(results, metric, country, series.id)
                assert got == pytest.approx(wanted, abs=1e-9), (series.label, country, metric)
                count = sum(metric in cell for cell in cells)
                (score_,) = [
                    each for each in results.scores
                    if (each.who, each.country, each.metric) == (series.id, country, metric)
                ]  # fmt: skip
                assert score_.items == count
        for metric, numbers in means.items():
            got = value(results, metric, ALL, series.id)
            assert got == pytest.approx(mean(n for n in numbers if not math.isnan(n)), abs=1e-9)


def test_culturespa_is_of_the_likeliest_codes_of_the_file(many):
    run, results = many
    marginals = load_marginals()
    for series in results.series:
        with Store(run).reading() as con:
            rows = con.execute(
                "select country, item_id, code, sum(weight) from survey_readings "
                "where condition_id = ? and reading = ? and code is not null group by all",
                [series.condition, series.reading],
            ).fetchall()
        weights: dict = defaultdict(dict)
        for country, item, code, weight in rows:
            weights[country, item][code] = round(weight, 9)
        for country in CLCA:
            off = most = 0.0
            for name in MIXED:
                cell = marginals.cells.get((country, name))
                said = weights.get((country, name)) or weights.get(("*", name))
                if cell and said:
                    likeliest = [code for code in said if said[code] == max(said.values())]
                    off += mean((code - cell.mode) ** 2 for code in likeliest)
                    most += (len(cell.codes) - 1) ** 2
            wanted = 100 * (1 - math.sqrt(off / most))
            assert value(results, "culturespa", country, series.id) == pytest.approx(wanted)


def test_accuracy_is_the_mean_of_cells_and_then_of_countries(many):
    run, results = many
    own = truths(run)
    for series in results.series[-3:]:
        assert series.by_respondent and series.answers == 12
        with Store(run).reading() as con:
            rows = con.execute(
                "select respondent_id, item_id, point, weight from survey_answers "
                "where condition_id = ? and reading = ?", [series.condition, series.reading]
            ).fetchall()  # fmt: skip
        said: dict = defaultdict(dict)
        for person, item, point, weight in rows:
            said[person, item][point] = weight
        hard, near, kept = defaultdict(list), defaultdict(list), defaultdict(list)
        for (person, name), code in own.items():
            item, answer = ITEMS[name], said[person, name]
            truth = item.point(code)
            valid = 1 - answer.get(None, 0)
            right = answer.get(truth, 0)
            kept[person[:3]].append(right)
            if valid > 1e-9:
                hard[person[:3]].append(right / valid)
                span = item.points[-1] - item.points[0]
                soft = sum(
                    weight * (1 - abs(point - truth) / span)
                    for point, weight in answer.items() if point is not None
                )  # fmt: skip
                near[person[:3]].append((right if item.scale == "nominal" else soft) / valid)
        for measure, cells in (("hard", hard), ("soft", near), ("hard_penalised", kept)):
            found = individual(results, measure, series.id)
            assert found.value == pytest.approx(mean(map(mean, cells.values())))
            assert found.cells == sum(map(len, cells.values()))
            assert found.low < found.value < found.high


def test_an_unaware_series_stands_beside_every_country(many):
    _, results = many
    for series in results.series[:3]:
        assert series.method == "unaware" and not series.by_respondent
        homes = {each.country for each in results.scores if each.who == series.id}
        assert homes == {*CLCA, ALL}
        assert {each.country for each in results.rates if each.who == series.id} == {"*", ALL}
        assert series.id not in {matrix.who for matrix in results.matrices}
    # Three samples in two orders are six answers; of probabilities nothing is drawn.
    assert [series.answers for series in results.series[:3]] == [None, 6, 6]


def test_the_noise_floor_is_what_a_perfect_sampler_gets(many):
    _, results = many
    found = {(floor.answers, floor.metric): floor for floor in results.floors}
    assert {answers for answers, _ in found} == {None, 2, 6, 12}
    for answers, metric in found:
        assert found[answers, metric].mean < found[answers, metric].high
    for metric in ("js_distance", "tv", "w1"):
        floors = [found[answers, metric].mean for answers in (None, 12, 6, 2)]
        assert 0 < floors[0] < floors[1] < floors[2] < floors[3]


def test_one_answer_is_as_far_away_as_chance_says(tmp_path):
    """One answer is 1 - h of people's shares h away: a perfect sampler on average 1 less the sum of
    h squared, and a guesser among K options (K - 1) / K, whatever people say."""
    run = trial(tmp_path, tuple(name for name in MIXED if name != "Q152"))

    def once(asked: Asked):
        return asked.order[0] if asked.order == asked.item.scale_codes else ""

    give(run, "culture", once, readout="text")
    results = score(run)
    (panel,) = results.panels
    assert panel.answers == 1 and not panel.exact and len(results.series) == 2
    samplers, guessers = [], []
    for country in CLCA:
        cells = [
            load_marginals().cells[country, name].recoded(ITEMS[name].recode, ITEMS[name].other)
            for name in panel.items if (country, name) in load_marginals().cells
        ]  # fmt: skip
        samplers.append(mean(sum(h * (1 - h) for h in cell.shares) for cell in cells))
        guessers.append(mean(1 - 1 / len(cell.codes) for cell in cells))
    (floor,) = [floor.mean for floor in results.floors if floor.metric == "tv"]
    assert floor == pytest.approx(mean(samplers), abs=0.01)
    assert value(results, "tv", ALL, "uniform") == pytest.approx(mean(guessers), abs=0.01)


FORTY = {
    "sampler": {"js_distance": 0.123, "tv": 0.096, "w1": 0.045, "kl": 0.042},
    "guesser": {"js_distance": 0.744, "tv": 0.736, "w1": 0.426},
}
"""A perfect sampler with 40 answers and a guesser with one: 18 countries, 259 items."""


def test_yardsticks_of_culturespa_have_as_many_answers_as_the_series():
    people = load_marginals()
    grid = people.grid(people.culturespa, preset("culturespa-259"))
    made = Yardsticks(grid, (), np.random.default_rng(1))
    n = np.where(grid.asked, 40.0, np.nan)
    for metric, number in FORTY["sampler"].items():
        assert made.sampler(n, False).mean[metric][0] == pytest.approx(number, abs=0.004), metric
    one = np.where(grid.asked, 1.0, np.nan)
    for metric, number in FORTY["guesser"].items():
        assert made.guesser(one, False).mean[metric][0] == pytest.approx(number, abs=0.002)
    assert "kl" not in made.guesser(one, False).mean
    for metric, number in (("js_distance", 0.613), ("tv", 0.576), ("w1", 0.296)):
        assert made.sampler(one, False).mean[metric][0] == pytest.approx(number, abs=0.002)
    # Of probabilities nothing is drawn: the uniform distribution, and people's own sampling.
    whole = np.where(grid.asked, 1000.0, np.nan)
    assert made.guesser(whole, True).mean["js_distance"][0] == pytest.approx(0.313, abs=0.002)
    assert made.sampler(whole, True).mean["js_distance"][0] == pytest.approx(0.018, abs=0.001)


# Intervals and differences


def test_intervals_hold_the_value_and_shrink_with_more_items(tmp_path):
    widths = []
    for number, items in enumerate((8, 32)):
        run = trial(tmp_path / str(number), tuple(f"Q{n}" for n in range(106, 106 + items)))
        give(run, "culture", drawn(0, any_probabilities))
        results = score(run, 400)
        for each in results.scores:
            assert each.low <= each.value <= each.high and each.items <= items
        widths.append({
            each.metric: each.high - each.low for each in results.scores if each.country == ALL
        })  # fmt: skip
    assert all(widths[1][metric] < widths[0][metric] for metric in widths[0])


def test_intervals_shrink_with_more_respondents(tmp_path):
    widths = []
    for count in (5, 100):
        run = trial(tmp_path / str(count), ("Q1",), ("DEU",), respondents=count)
        give(run, "respondent", lambda asked: {1: 0.2, 3: 0.2, 4: 0.6}, model="steady")
        give(run, "respondent", drawn(3, any_text), model="any", readout="text")
        results = score(run, 400)
        widths.append([
            one.high - one.low for one in results.scores
            if one.metric == "tv" and one.country == "DEU"
        ])  # fmt: skip
    assert 0 < widths[0][0] < 0.05  # all respondents get the same answer; people are a sample
    assert 0 < widths[1][1] < widths[0][1]


def test_the_same_store_gives_the_same_figures_and_another_seed_other_intervals(tmp_path):
    texts = []
    for number, seed in enumerate((0, 0, 1)):
        run = trial(tmp_path / str(number), MIXED, ("DEU", "MEX"), respondents=10, seed=seed)
        give(run, "respondent", lambda asked: asked.order[0], readout="text")
        give(run, "culture", drawn(2, any_probabilities))
        results = score(run)
        score(run).write(tmp_path / "again.json")
        results.write(tmp_path / "results.json")
        texts.append((tmp_path / "results.json").read_text())
        assert texts[-1] == (tmp_path / "again.json").read_text()
    assert texts[0] == texts[1] != texts[2]


def gaps(results: Results, metric: str) -> dict[tuple[str, str], tuple]:
    series = {each.id: each for each in results.series}
    return {
        tuple(f"{series[who].model} {series[who].method}" for who in (gap.one, gap.two)): (
            gap.value, gap.low, gap.high, gap.p
        )
        for gap in results.gaps if gap.metric == metric and series[gap.one].reading != "text-strict"
    }  # fmt: skip


@pytest.mark.parametrize("method", ["culture", "respondent"])
@pytest.mark.parametrize("readout", ["text", "logprobs"])
def test_a_copy_is_no_different_and_a_better_model_is_found(tmp_path, method, readout):
    run = trial(tmp_path, tuple(f"Q{n}" for n in range(27, 43)), ("DEU", "MEX"), respondents=25)
    any_answer = any_text if readout == "text" else any_probabilities
    for model in ("a", "b"):
        give(run, method, drawn("same", any_answer), model=model, readout=readout)

    def nearer(asked: Asked, rng: random.Random):
        shares = as_people(asked)
        if readout == "logprobs":
            return shares
        if method == "culture":
            return max(shares, key=shares.get)
        return rng.choices([*shares], [*shares.values()])[0]

    give(run, method, drawn("near", nearer), model="c", readout=readout)
    results = score(run, 400)
    for metric in ("js_distance", "tv", "tv_penalised", "w1", "w1_penalised"):
        found = gaps(results, metric)
        same, low, high, p = found[f"b {method}", f"a {method}"]
        assert (same, low, high, p) == (0, 0, 0, 1)
        for other in "ab":
            less, _, high, p = found[f"c {method}", f"{other} {method}"]
            assert less < 0 and high < 0 and p < 0.05, (metric, p)
    found = gaps(results, "culturespa")
    assert found[f"b {method}", f"a {method}"] == (0, 0, 0, 1)
    for other in "ab":  # the score is better when it is higher
        more, low, _, p = found[f"c {method}", f"{other} {method}"]
        assert more > low > 0 and p < 0.05, p
    plain = {each.model: each.id for each in results.series if each.reading != "text-strict"}
    best, worse = (value(results, "culturespa", ALL, plain[model]) for model in "ca")
    assert more == pytest.approx(best - worse)
    found = gaps(results, "w1_penalised")
    c, a = (value(results, "w1_penalised", ALL, plain[model]) for model in "ca")
    assert found[f"c {method}", f"a {method}"][0] == pytest.approx(c - a)


def test_two_models_asked_alike_and_two_methods_of_a_model_are_compared(tmp_path):
    run = trial(tmp_path, ("Q1", "Q2", "Q152"), ("DEU", "MEX"), respondents=3)
    for model in ("a", "b"):
        for method in ("unaware", "culture", "respondent"):
            for readout, say in (("logprobs", any_probabilities), ("text", any_text)):
                give(run, method, drawn(model, say), model=model, readout=readout)
    results = score(run)
    series = {each.id: each for each in results.series}
    found = Counter()
    for one, two in {(gap.one, gap.two) for gap in results.gaps}:
        left, right = series[one], series[two]
        assert left.reading == right.reading
        assert (left.model == right.model) != (left.method == right.method)
        found[left.reading, left.model == right.model] += 1
    # Texts of 3 respondents are not compared with the one answer for a culture.
    assert found == {
        ("logprobs", False): 3, ("logprobs", True): 6, ("text-lenient", False): 3,
        ("text-lenient", True): 2, ("text-strict", False): 3, ("text-strict", True): 2,
    }  # fmt: skip
    kinds = {
        series[gap.one].by_respondent == series[gap.two].by_respondent
        for gap in results.gaps if gap.metric == "kl"
    }  # fmt: skip
    assert kinds == {True}  # KL depends on the number of answers


def test_half_an_evaluation_is_compared_on_the_respondents_both_have(tmp_path):
    run = trial(tmp_path, ("Q1", "Q2", "Q3", "Q7"), ("DEU", "MEX"), respondents=10)

    def begun(asked: Asked, rng: random.Random):
        code = rng.choice(asked.order)
        return code if asked.country == "DEU" and int(asked.person[-2:]) < 6 else ""

    give(run, "respondent", drawn(2, begun), model="b", readout="text")
    give(run, "respondent", drawn(1, any_text), model="a", readout="text")
    results = score(run)
    half, whole = (each for each in results.series if each.reading == "text-lenient")
    assert individual(results, "hard", "uniform").cells == len(truths(run))
    assert (whole.answers, half.answers) == (10, 5)
    assert {each.country for each in results.scores if each.who == half.id} == {"DEU", ALL}
    found = {}
    for series in (whole, half):
        with Store(run).reading() as con:
            rows = con.execute(
                "select item_id, point, sum(weight) from survey_answers where condition_id = ? and "
                "reading = ? and country = 'DEU' and point is not null "
                "and respondent_id in (select respondent_id from survey_replies "
                "where condition_id = ?) group by all",
                [series.condition, series.reading, half.condition],
            ).fetchall()
        tv = []
        for name in ("Q1", "Q2", "Q3", "Q7"):
            cell = load_marginals().cells["DEU", name]
            said = {point: weight for item, point, weight in rows if item == name}
            total = sum(said.values())
            shares = zip(cell.codes, cell.shares, strict=True)
            tv.append(sum(abs(said.get(code, 0) / total - share) for code, share in shares) / 2)
        found[series.id] = mean(tv)
    (gap,) = [g for g in results.gaps if g.metric == "tv" and g.two == half.id]
    assert gap.value == pytest.approx(found[whole.id] - found[half.id])


# What is not there


@pytest.mark.parametrize("method", ["culture", "respondent"])
def test_series_with_nothing_in_common_are_listed_and_the_rest_is_reported(tmp_path, method):
    run = trial(tmp_path, ("Q1", "Q7"), ("DEU", "MEX"), respondents=4)
    for model, homes in (("a", ["DEU"]), ("b", ["MEX"]), ("c", ["DEU", "MEX"])):
        give(run, method, drawn(model, any_probabilities), model=model, countries=homes)
    with closing(open_reader(run)) as con:
        results = load_results(con, run, THEN, 50)
        write_files(con, results, run)
    assert set(gaps(results, "tv")) == {(f"c {method}", f"{other} {method}") for other in "ab"}
    ids = {each.model: each.id for each in results.series}
    assert results.unpaired == [(ids["b"], ids["a"])]
    text = (run / "results.md").read_text().partition("### Not compared")[2].partition("###")[0]
    assert "b vs a (" in text and "no respondent, or no country" in text and "c vs" not in text


def test_a_country_without_people_is_on_the_map_and_nowhere_else(tmp_path):
    items = (*dict.fromkeys((*MIXED, *fourteen_items())),)
    found = {}
    for countries in (("DEU", "GBR", "MEX"), ("DEU", "GBR", "JPN", "MEX")):
        run = trial(tmp_path / str(len(countries)), items, countries, respondents=4)
        for method, seed in (("unaware", 1), ("culture", 2), ("respondent", 3)):

            def say(asked: Asked, seed=seed):
                key = f"{seed} {asked.country} {asked.person} {asked.item.id} {asked.order}"
                return any_probabilities(asked, random.Random(key))

            give(run, method, say, countries=countries)
        found[len(countries)] = score(run)
    without, with_japan = found[3], found[4]
    assert with_japan.without == ("JPN",) and with_japan.countries == ("DEU", "GBR", "MEX")
    scored = (*with_japan.scores, *with_japan.baselines, *with_japan.gaps, *with_japan.individuals)
    assert "JPN" not in {each.country for each in scored}
    mine = {series.id for series in with_japan.series}
    assert {point.who for point in with_japan.points if point.country == "JPN"} == mine
    for name in ("scores", "baselines", "individuals"):
        pairs = zip(getattr(without, name), getattr(with_japan, name), strict=True)
        for one, two in pairs:
            assert (one.who, one.country) == (two.who, two.country)
            assert one.value == pytest.approx(two.value)
    for one, two in zip(without.matrices, with_japan.matrices, strict=True):
        assert one.mean == pytest.approx(two.mean)
        assert one.correlation == pytest.approx(two.correlation, nan_ok=True)


def test_a_model_that_refuses_everything_is_reported_and_breaks_nothing(tmp_path):
    run = trial(tmp_path, (*dict.fromkeys((*MIXED, *fourteen_items())),), respondents=3)
    for method in ("unaware", "culture", "respondent"):
        give(run, method, lambda asked: None, readout="text")
        give(run, method, lambda asked: {}, readout="logprobs")
    give(run, "culture", drawn(1, any_text), model="other", readout="text")
    results = score(run)
    results.write(tmp_path / "results.json")
    data = json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail)
    silent = {series.id for series in results.series if series.model == "mock"}
    assert len(silent) == 9
    for each in data["scores"]:
        if each["who"] in silent:
            if "penalised" in each["metric"]:
                wanted = each["value"] if "culture" in each["metric"] else 1
                assert each["value"] == wanted is not None
            elif not each["metric"].startswith("clca"):
                assert (each["value"], each["low"], each["high"], each["items"]) == (*[None] * 3, 0)
    for each in data["individuals"]:
        if each["who"] in silent:
            at_least = "penalised" in each["measure"] or each["measure"] == "accuracy_clca"
            assert each["value"] == (0 if at_least else None)
            assert (each["cells"] > 0) == at_least
    assert silent.isdisjoint(point["who"] for point in data["points"])
    assert all(rates["valid"] == 0 for rates in data["rates"] if rates["who"] in silent)
    silent_gaps = [g for g in data["gaps"] if g["two"] in silent and g["metric"] == "tv"]
    assert silent_gaps and all(gap["value"] is None and gap["p"] is None for gap in silent_gaps)
    refused = {m["who"]: (m["correlation"], m["mean"]) for m in data["matrices"]}
    assert {refused[who] for who in silent if who in refused} == {(None, None)}


def test_questions_not_asked_yet_are_no_invalid_answers(tmp_path):
    run = trial(tmp_path, MIXED, ("DEU", "GBR", "MEX"), respondents=4)

    def first_half(asked: Asked):
        begun = asked.country in ("*", "DEU") and asked.item.id in ("Q1", "Q7")
        return asked.item.scale_codes[0] if begun else ""

    for method in ("unaware", "culture", "respondent"):
        give(run, method, first_half, readout="text")
        give(run, method, lambda asked: uniform(asked) if first_half(asked) else "")
    results = score(run)
    for each in results.scores:
        if "unaware" not in results.one(each.who).method:
            assert each.country in ("DEU", ALL), each
        assert each.items <= 2, each
    for series in results.series:
        for metric in ("tv", "js", "w1"):
            plain = value(results, "js_distance" if metric == "js" else metric, "DEU", series.id)
            assert value(results, f"{metric}_penalised", "DEU", series.id) == pytest.approx(plain)
        kept = value(results, "culturespa_penalised", "DEU", series.id)
        assert kept == value(results, "culturespa", "DEU", series.id)
    own = truths(run)
    asked = [1 for person, item in own if person.startswith("DEU") and item in ("Q1", "Q7")]
    for series in results.series[-3:]:
        hard, kept = (individual(results, name, series.id) for name in ("hard", "hard_penalised"))
        assert hard.value == pytest.approx(kept.value) and hard.cells == kept.cells == len(asked)
        clca = individual(results, "accuracy_clca", series.id)
        assert clca.cells == 8 and clca.value == pytest.approx(hard.value * len(asked) / 8)


def test_only_a_country_without_people_was_asked_so_far(tmp_path):
    run = trial(tmp_path, ("Q1", "Q2"), ("DEU", "JPN"), respondents=2)
    for method in ("culture", "respondent"):
        give(run, method, uniform, countries=("JPN",))
    results = score(run)
    assert results.scores == [] == results.individuals == results.gaps
    assert {rates.country for rates in results.rates} == {"JPN", ALL}


def test_a_store_without_answers_is_refused_in_a_line(tmp_path):
    with pytest.raises(UserError, match="holds no answers to a survey"):
        score(trial(tmp_path))


# Little of everything


def test_one_item_one_country_one_respondent(tmp_path):
    run = trial(tmp_path, ("Q46",), ("MEX",), respondents=1)
    own = truths(run)
    give(run, "unaware", uniform)
    give(run, "respondent", lambda asked: own[asked.person, "Q46"], readout="text")
    give(run, "respondent", uniform, model="other")
    results = score(run)
    cell = load_marginals().cells["MEX", "Q46"]
    tv = sum(abs(share - 1 / 4) for share in cell.shares) / 2
    for country in ("MEX", ALL):
        assert value(results, "tv", country) == pytest.approx(tv)
        errors = [(code - cell.mode) ** 2 for code in (1, 2, 3, 4)]  # all codes are as likely
        assert value(results, "culturespa", country) == pytest.approx(
            100 * (1 - math.sqrt(mean(errors)) / 3)
        )
    for each in (*results.scores, *results.individuals):
        if each.value is not None and each.low is not None:
            if getattr(each, "corrected", None) is None:
                assert each.low == pytest.approx(each.high, abs=1e-9), each
            else:  # people are a sample
                assert each.low <= each.corrected <= each.high and each.low < each.value
    assert individual(results, "hard", results.series[1].id).value == 1
    assert results.matrices == [] == results.points
    assert not [each for each in results.baselines if each.who == "other countries' mode"]
    assert not [
        each for each in results.baselines
        if each.who == "world-mode" and each.value is not None and not math.isnan(each.value)
    ]  # fmt: skip
    results.write(tmp_path / "results.json")
    json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail)


def test_nominal_items_have_no_distance_along_a_scale(tmp_path):
    run = trial(tmp_path, ("Q149", "Q150", "Q152", "Q153"), respondents=3)
    give(run, "culture", drawn(1, any_text), readout="text")
    give(run, "respondent", drawn(2, any_text), readout="text")
    results = score(run)
    results.write(tmp_path / "results.json")
    for each in json.loads((tmp_path / "results.json").read_text())["scores"]:
        if each["metric"].startswith("w1"):
            assert (each["value"], each["low"], each["items"]) == (None, None, 0)
        elif each["metric"] == "tv":
            assert each["value"] is not None and each["items"] > 0
    for series in results.series[2:]:
        hard, soft = (individual(results, name, series.id).value for name in ("hard", "soft"))
        assert hard == pytest.approx(soft)


def test_two_codes_on_one_point_are_one_answer_but_two_codes_of_culturespa(tmp_path):
    run = trial(tmp_path, ("Q241",), ("DEU", "MEX"))
    for model, code in (("zero", 0), ("one", 1)):
        give(run, "culture", lambda asked, code=code: code, model=model, readout="text")
    give(run, "culture", lambda asked: {0: 0.1, 1: 0.1, 5: 0.15}, model="both")
    results = score(run)
    zero, one, both = (
        next(each.id for each in results.series if each.model == model)
        for model in ("zero", "one", "both")
    )
    for metric in ("tv", "w1", "js_distance"):
        assert value(results, metric, ALL, zero) == value(results, metric, ALL, one)
    marginals = load_marginals()
    for country in ("DEU", "MEX"):
        cell = marginals.cells[country, "Q241"]
        shares = dict(zip(cell.codes, cell.shares, strict=True))
        wanted = abs(shares[0] + shares[1] - 0.2 / 0.35) + abs(shares[5] - 0.15 / 0.35)
        wanted += sum(share for code, share in shares.items() if code not in (0, 1, 5))
        assert value(results, "tv", country, both) == pytest.approx(wanted / 2)
        for who, code in ((zero, 0), (one, 1), (both, 5)):
            spa = 100 * (1 - abs(cell.mode - code) / 10)
            assert value(results, "culturespa", country, who) == pytest.approx(spa)


def test_people_from_a_file_are_compared_on_the_recoded_scales(tmp_path):
    items = [ITEMS[name] for name in MIXED]
    file = tmp_path / "people.duckdb"
    synthesise(file, shares_of_sample(load_marginals()), items, ("DEU", "GBR", "MEX"), 300)
    options = {"countries": ("DEU", "GBR", "MEX"), "people": str(file), "weights": "none"}
    run = trial(tmp_path, **options)
    with Store(run).reading() as con:
        rows = con.execute("select country, item_id, point, share from survey_people").fetchall()
    people: dict = defaultdict(dict)
    for country, item, point, share in rows:
        people[country, item][point] = share

    def say(asked: Asked) -> dict[int, float]:
        shares = people[asked.country, asked.item.id]
        by_code = {asked.item.point(code): code for code in asked.order}
        return {by_code[point]: share for point, share in shares.items()}

    give(run, "culture", say)
    results = score(run)
    assert not results.synthetic and "people.duckdb" in results.people
    assert value(results, "tv") == pytest.approx(0, abs=1e-12)
    for country in ("DEU", "GBR", "MEX", ALL):
        assert value(results, "culturespa", country) == 100
    assert results.matrices[1].correlation == pytest.approx(1)
    assert results.recoded == ("Q241",)  # 0 and 1 are one point
    assert "recoded scales: of 1 items (Q241)" in "".join(each.text for each in caveats(results))


@pytest.mark.parametrize("weights", ["national", "none"])
def test_respondents_count_as_the_people_they_are_compared_with_do(tmp_path, weights):
    """All respondents of a country, copied, are its people, however these are weighted."""
    rng, homes = random.Random(3), ["USA", "CHN"] * 150
    cells = {
        "version": ["6-0-0 (made up)"] * 300, "A_WAVE": [7] * 300, "A_YEAR": [2020] * 300,
        "B_COUNTRY": [840 if home == "USA" else 156 for home in homes],
        "B_COUNTRY_ALPHA": homes, "D_INTERVIEW": [*range(1, 301)],
        "W_WEIGHT": [round(rng.uniform(0.2, 3), 3) for _ in homes],
    }  # fmt: skip
    cells |= {name: rng.choices((1, 2, 3, 4), (8, 4, 2, 1), k=300) for name in ("Q1", "Q2", "Q3")}
    file = tmp_path / "people.duckdb"
    load_survey(write_csv(tmp_path / "wvs.csv", cells), file, [ITEMS[f"Q{n}"] for n in (1, 2, 3)])
    run = trial(
        tmp_path, ("Q1", "Q2", "Q3"), ("CHN", "USA"), respondents=150, people=str(file),
        weights=weights,
    )  # fmt: skip
    own = truths(run)
    give(run, "respondent", lambda asked: own[asked.person, asked.item.id], readout="text")
    results = score(run)
    for country in ("CHN", "USA", ALL):
        for metric in ("tv", "js_distance", "w1", "clca_compat_js"):
            assert value(results, metric, country) == pytest.approx(0, abs=1e-6), (metric, country)
    effective = [n for _, n in panels_of(run)]
    assert (effective[0] < 150).all() == (weights == "national")  # Kish's


def test_made_up_respondents_of_a_file_are_called_so(tmp_path):
    file = tmp_path / "people.duckdb"
    synthesise(file, shares_of_sample(load_marginals()), [ITEMS["Q1"]], ("DEU",), 5)
    run = trial(tmp_path, ("Q1",), ("DEU",), people=str(file), weights="none", respondents=3)
    give(run, "respondent", uniform)
    assert score(run).synthetic


# Rates


def rates(results: Results, reading: str, country: str = ALL):
    (found,) = [
        each for each in results.rates
        if each.country == country and results.one(each.who).reading == reading
    ]  # fmt: skip
    return found


def test_rates_tell_strict_from_lenient_and_refusals_from_doubt(tmp_path):
    run = trial(tmp_path, ("Q1", "Q2", "Q3", "Q4", "Q5"), ("DEU", "MEX"))
    said = {"Q1": (1, 1, None), "Q2": (None, 1, None), "Q3": (None, None, "refusal"),
            "Q4": (None, None, "unsure"), "Q5": (None, None, "timeout")}  # fmt: skip

    def say(asked: Asked):
        return (1, 1, None) if asked.country == "MEX" else said[asked.item.id]

    give(run, "culture", say, readout="text")
    results = score(run)
    strict, lenient = (rates(results, f"text-{name}", "DEU") for name in ("strict", "lenient"))
    assert (strict.valid, lenient.valid) == (pytest.approx(0.2), pytest.approx(0.4))
    for found in (strict, lenient):
        assert (found.refused, found.unsure, found.failed) == pytest.approx((0.2, 0.2, 0.2))
        assert found.mass is None and found.order_gap == 0
    assert rates(results, "text-strict").valid == pytest.approx(0.6)
    assert rates(results, "text-lenient").valid == pytest.approx(0.7)
    both = {series.reading: series.id for series in results.series}
    items = {(each.who, each.country): each.items for each in results.scores if each.metric == "tv"}
    assert items[both["text-strict"], "DEU"] == 1 and items[both["text-lenient"], "DEU"] == 2


def test_an_answer_after_a_failed_call_is_the_one_that_counts(tmp_path):
    run = trial(tmp_path, ("Q1", "Q2"), ("DEU", "MEX"))
    give(run, "culture", lambda asked: (None, None, "timeout"), readout="text")

    def again(asked: Asked):
        return (2, 2, None) if asked.item.id == "Q1" else (None, None, "server-error")

    give(run, "culture", again, readout="text", attempt=2)
    results = score(run)
    for country in ("DEU", ALL):
        found = rates(results, "text-lenient", country)
        assert (found.valid, found.failed, found.refused) == (0.5, 0.5, 0)
    shares = load_marginals().cells["DEU", "Q1"].shares
    assert value(results, "tv", "DEU") == pytest.approx(1 - shares[1])
    assert value(results, "tv_penalised", "DEU") == pytest.approx((2 - shares[1]) / 2)


def test_all_countries_weigh_the_same_in_rates(tmp_path):
    run = trial(tmp_path, ("Q1", "Q2", "Q3", "Q4"), ("DEU", "MEX"))
    halting = {"DEU": ("Q1", "Q2", "Q3", "Q4"), "MEX": ("Q1",)}

    def say(asked: Asked):
        if asked.item.id not in halting[asked.country]:
            return ""
        return None if asked.country == "DEU" else 1

    give(run, "culture", say, readout="text")
    results = score(run)
    assert rates(results, "text-lenient").valid == 0.5


def test_the_order_gap_is_the_total_variation_between_orders(tmp_path):
    run = trial(tmp_path, ("Q1", "Q7"), ("DEU",))

    def say(asked: Asked):
        first, *_, last = asked.order
        return {first: 0.6, last: 0.2} if asked.item.id == "Q1" else {1: 0.5, 2: 0.3}

    give(run, "culture", say)
    found = rates(score(run), "logprobs", "DEU")
    assert found.order_gap == pytest.approx((0.5 + 0) / 2)
    assert found.mass == pytest.approx(0.8) and found.valid == 1


# From asking to the file


def test_the_order_gap_stands_beside_what_chance_makes_of_it(tmp_path):
    """Of two samples of 20 from a fair coin, the shares are E|B - B'| / 20 apart, B binomial."""
    run = trial(tmp_path, ("Q7",), ("DEU",))
    give(
        run, "culture", lambda asked: 1 + asked.sample % 2, model="even", readout="text", samples=20
    )
    give(run, "culture", lambda asked: asked.order[0], model="first", readout="text", samples=20)
    results = score(run)
    chances = [math.comb(20, k) / 2**20 for k in range(21)]
    wanted = sum(p * q * abs(i - j) / 20
                 for i, p in enumerate(chances) for j, q in enumerate(chances))  # fmt: skip
    by_model = {series.model: series.id for series in reversed(results.series)}
    for model, gap in (("even", 0.0), ("first", 1.0)):
        (found,) = [r for r in results.rates if (r.who, r.country) == (by_model[model], ALL)]
        assert found.order_gap == pytest.approx(gap)
        assert found.order_floor == pytest.approx(wanted, abs=0.02) and found.order_high > wanted
    (said,) = [each for each in caveats(results) if "order of the options" in each.text]
    assert [line.split(",")[0] for line in said.about] == ["first", "first"]


def test_results_of_the_fake_model_go_through_the_file_and_back(tmp_path):
    config = EvalConfig(
        name="trial", items="inglehart-welzel-10", models=(ModelRef(name="fake", label="fäke"),),
        cultures=("CHN", "DEU", "JPN", "MEX"), methods=("unaware", "culture", "respondent"),
        people="synthetic", respondents=3, out=str(tmp_path),
    )  # fmt: skip
    assert evaluate(config, quiet=True) == "done"
    results = score(tmp_path / "trial")
    path = tmp_path / "results.json"
    results.write(path)
    data = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert len(results.series) == len(data["series"]) == 9
    assert data["items"] == len(preset("inglehart-welzel-10")) and data["without"] == ["JPN"]
    assert data["synthetic"] and "SYNTHETIC" in data["people"]
    for series in results.series:
        assert series.model == "fäke" and "fäke" in results.label(series.id)
        for metric in ("js_distance", "tv", "w1", "clca_compat_kl", "culturespa"):
            assert math.isfinite(value(results, metric, "MEX", series.id))
        many = series.reading == "logprobs" and not series.by_respondent
        assert many == any(s.metric == "kl" for s in results.scores if s.who == series.id)
    assert len({json.dumps(each) for each in data["scores"]}) == len(data["scores"])
    for name in ("scores", "baselines", "gaps", "individuals", "rates", "points", "matrices"):
        assert len(data[name]) == len(getattr(results, name)) > 0
    (first, *_), (stored, *_) = results.scores, data["scores"]
    assert (stored["value"], stored["low"]) == (first.value, first.low)
