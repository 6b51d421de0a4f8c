"""The report of an experiment: what was played and learned, and whether it moved the answers;
then all that the evaluation says.

Invariant: every figure is read from the store, from what a training wrote, or from the evaluation's
results; what an arm lacks is said in its row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import yaml

from eval.config import EvalConfig
from eval.report.diversity_table import diversity_line
from eval.report.measure import measure
from eval.report.number import DASH, chance, interval, number
from eval.report.results import ALL, PairedDifference, Results, Series
from eval.report.table import Section, Table, TableRow, new_table
from eval.report.write import load_results, write_files
from eval.survey.condition import conditions
from simulation.store.reader import open_reader, read_rows
from training.experiment.adapters import adapter_folder, trainings
from training.experiment.arm import NULL
from training.experiment.corpus_folders import read_corpora
from training.experiment.experiment import ExperimentSettings
from training.experiment.pooled import pooled
from training.experiment.roster import BASE, HELD_OUT, SHUFFLED

_DRAWS = 2000
"""Bootstrap draws."""
SHOWN = ("js_distance", "tv", "w1", "clca_compat_kl", "clca_compat_js", "accuracy_clca")
"""Measures of the tables of differences; the last one is of respondents alone."""
_DRAWN = SHOWN[:3]
"""Those of the plot."""
_ABOUT = {
    BASE: "the model as it was",
    SHUFFLED: "the adapter of another culture",
    HELD_OUT: "the joint adapter, in a culture it has not seen",
}
_About = Mapping[str, str]
"""What the models are, by name."""
S = TypeVar("S", bound=ExperimentSettings)
Sections = Callable[[duckdb.DuckDBPyConnection, S, Results], Iterator[Section]]


def write_study(
    config: S, asked: EvalConfig, made_at: datetime, sections: Sections[S], draws: int = _DRAWS
) -> list[Path]:
    """Write the report into the folder of the experiment and return its files; `sections` makes
    what comes before the parts of an evaluation."""
    only = {one.id for model in asked.models for one in conditions(asked, model)}
    run = config.folder
    with closing(open_reader(run)) as con:
        results = load_results(con, run, made_at, draws, only)
        results.name = config.name
        parts = list(sections(con, config, results))
        return write_files(con, results, run, parts, _figures(results))


def _figures(results: Results) -> dict[str, str]:
    """Return a plot of how much each arm moved, read out of probabilities."""
    from eval.report.plots import draw_gaps

    reading = {series.id: series.reading for series in results.series}
    base = {series.id for series in results.series if series.model == BASE}
    moved = [
        gap
        for gap in results.gaps
        if gap.two in base and gap.one not in base and reading[gap.two] == "logprobs"
    ]
    drawn = draw_gaps(replace(results, gaps=moved), _DRAWN)
    return {} if drawn is None else {"moved": drawn}


def shared_sections(
    con: duckdb.DuckDBPyConnection,
    config: ExperimentSettings,
    results: Results,
    pairs: Sequence[tuple[str, str]] = (),
    shown: Sequence[str] = SHOWN,
) -> Iterator[Section]:
    """Yield what reports of all experiments have: what was learned, whether it moved the answers
    as the metrics `shown` have it, the main arm against the others and further `pairs` of arms, and
    what of it is format."""
    yield from titled("learned", _learned(con, config))
    about = _ABOUT | {name: arm.about for name, arm in config.known_arms.items()}
    bases = [series for series in results.series if series.model == BASE]
    moved = [_moved(config, results, base, about, shown) for base in bases]
    controls = [
        _controls(config, results, base, about, [*_mains(config, results, base), *pairs], shown)
        for base in bases
    ]
    usable = [_format(results, base, about) for base in bases]
    for name, tables in (("moved", moved), ("controls", controls), ("format", usable)):
        yield from titled(name, list(chain(*tables)))


def titled(name: str, tables: Sequence[Table]) -> Iterator[Section]:
    """Yield a part under its title in report.yaml, unless it has nothing to show."""
    if tables:
        text = _texts()[name]
        yield Section(name, text["title"], text["reading"], tuple(tables))


@cache
def _texts() -> dict[str, dict[str, str]]:
    file = Path(__file__).with_name("report.yaml")
    texts: dict[str, dict[str, str]] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return texts


def _learned(con: duckdb.DuckDBPyConnection, config: ExperimentSettings) -> list[Table]:
    """Return what each adapter learned from, and how."""
    corpora = read_corpora(config.folder)
    found = {row["adapter"]: row for row in read_rows(con, "from adapters")}
    rows = []
    for place, made in trainings(config, corpora):
        adapter: dict[str, Any] | None = None
        if made.folder is not None:
            folder = adapter_folder(config, made, place)
            adapter = found.get(str(folder.relative_to(config.folder)))
        if made.folder is None:
            reason = "" if made.arm == NULL else f"not made: {made.reason}"
            rest: tuple[str, ...] = (DASH,) * 5 + (reason,)
        elif adapter is None:
            rest = (f"{made.rows:,}", f"{made.tokens:,}", *(DASH,) * 3, "not trained yet")
        else:
            rest = (
                f"{adapter['rows']:,}",
                f"{adapter['tokens']:,}",
                f"{adapter['learned_tokens']:,}",
                f"{adapter['steps']:,}",
                f"{number(adapter['loss_first'], 2)} to {number(adapter['loss_last'], 2)}",
                "",
            )
        about = config.known_arms[made.arm].about
        rows.append(TableRow((config.labels(made.arm)[place], made.culture, about, *rest)))
    head = ("arm", "culture", "corpus", "rows", "tokens", "learned tokens", "steps", "loss", "")
    training = config.train_config("x", Path("x"), "joint", "")
    note = (
        f"Preset {training.preset}: r {training.lora.r}, alpha {training.lora.alpha:g}, learning "
        f"rate {training.optimisation.learning_rate:g}. Tokens are those of the chat template's "
        "text, prompts included; learned ones count in the loss."
    )
    return new_table("", head, rows, note, words=3)


def _alike(results: Results, one: Series) -> dict[str, Series]:
    """Return the series asked and read as one is, by model."""
    return {
        each.model: each
        for each in results.series
        if (each.method, each.style, each.language, each.reading)
        == (one.method, one.style, one.language, one.reading)
    }


def _title(series: Series) -> str:
    return ", ".join(part for part in (series.method, series.style or "", series.reading) if part)


def _difference(results: Results, one: Series, two: Series, metric: str) -> PairedDifference | None:
    """Return one less two, whichever way round it was computed."""
    for gap in results.gaps:
        if gap.metric != metric or gap.country != ALL:
            continue
        if (gap.one, gap.two) == (one.id, two.id):
            return gap
        if (gap.one, gap.two) == (two.id, one.id):
            value, low, high = (None if x is None else -x for x in (gap.value, gap.high, gap.low))
            return PairedDifference(one.id, two.id, metric, ALL, value, low, high, gap.p, gap.items)
    return None


def _arms(
    config: ExperimentSettings, results: Results, base: Series
) -> dict[str, Mapping[int, Series]]:
    """Return the series of an arm's trainings by the number of their seed, by the arm's name; the
    base model's and those of the controls too."""
    alike = _alike(results, base)
    further = {label for name in alike for label in config.labels(name)[1:]}
    return {
        name: {n: alike[label] for n, label in enumerate(config.labels(name)) if label in alike}
        for name in alike
        if name not in further
    }


def _mains(config: ExperimentSettings, results: Results, base: Series) -> list[tuple[str, str]]:
    """Return the main arm with each of its controls."""
    kept = (BASE, config.main, HELD_OUT)
    return [(config.main, other) for other in _arms(config, results, base) if other not in kept]


def _moved(
    config: ExperimentSettings,
    results: Results,
    base: Series,
    about: _About,
    shown: Sequence[str],
) -> list[Table]:
    """Return how much nearer to people each arm is than the base model."""
    rows = [
        TableRow((name, about.get(name, ""), *_differences(results, trained, {0: base}, shown)))
        for name, trained in _arms(config, results, base).items()
        if name != BASE
    ]
    title = f"Less the base model: {_title(base)}"
    diverse = diversity_line(results, [*_alike(results, base).values()])
    note = " ".join(part for part in (_seeds_note(config), diverse) if part)
    return new_table(title, _head(shown), rows, note, words=2)


def _seeds_note(config: ExperimentSettings) -> str:
    if len(config.seeds) < 2:
        return ""
    seeds = ", ".join(map(str, config.seeds))
    return (
        f"Each arm was trained with the seeds {seeds}. A difference is the mean over them; its "
        "interval and p hold what differs between trainings beside people and items."
    )


def _controls(
    config: ExperimentSettings,
    results: Results,
    base: Series,
    about: _About,
    pairs: Sequence[tuple[str, str]],
    shown: Sequence[str],
) -> list[Table]:
    """Return how much nearer to people the first arm of each pair is than the second."""
    arms = _arms(config, results, base)
    rows = [
        TableRow(
            (
                f"{one} less {two}",
                about.get(two, ""),
                *_differences(results, arms[one], arms[two], shown),
            )
        )
        for one, two in pairs
        if one in arms and two in arms
    ]
    title = f"Arm against arm: {_title(base)}"
    return new_table(title, _head(shown), rows, _seeds_note(config), words=2)


def _format(results: Results, base: Series, about: _About) -> list[Table]:
    """Return how many answers are valid, and what of a gain they are."""
    rows = []
    for model, series in _alike(results, base).items():
        homes = [each.country for each in results.rates if each.who == series.id]
        mine, before = (_usable(results, who, homes) for who in (series, base))
        cells = [model, about.get(model, ""), mine, before]
        if model == BASE:
            cells += [DASH] * 3
        else:
            plain, whole = (
                _difference(results, series, base, metric) for metric in ("tv", "tv_penalised")
            )
            cells += [_value(plain), _value(whole), _less(whole, plain)]
        rows.append(TableRow(tuple(cells)))
    named = ("usable", "base, same cultures", "TV of valid answers", "TV, invalid as worst")
    head = ("arm", "", *named, "format alone")
    return new_table(_title(base), head, rows, words=2)


def _usable(results: Results, series: Series, homes: Sequence[str]) -> str:
    """Return the share of answers that name an option, or the probability that one is named: the
    mean over some countries."""
    found = [
        rates.valid if rates.mass is None else rates.mass
        for rates in results.rates
        if rates.who == series.id and rates.country in homes and rates.country != ALL
    ]
    return number(sum(found) / len(found) if found else None)


def _value(gap: PairedDifference | None) -> str:
    return number(gap.value if gap else None)


def _less(one: PairedDifference | None, two: PairedDifference | None) -> str:
    if one is None or two is None or one.value is None or two.value is None:
        return DASH
    return number(one.value - two.value)


def _head(shown: Sequence[str]) -> tuple[str, ...]:
    return ("", "", *(measure(name).title for name in shown), "p", "items")


def _differences(
    results: Results, ones: Mapping[int, Series], twos: Mapping[int, Series], shown: Sequence[str]
) -> Sequence[str]:
    """Return one less two by metric: of each training less that with the same seed, pooled. What
    was trained once, or not at all, is compared with each."""
    places = sorted({*ones, *twos})
    paired = [
        (one, two)
        for place in places
        if (one := _trained(ones, place)) and (two := _trained(twos, place))
    ]
    gaps = [
        pooled([gap for one, two in paired if (gap := _difference(results, one, two, metric))])
        for metric in shown
    ]
    cells = [
        DASH if gap is None else interval(gap.value, gap.low, gap.high, measure(name).decimals)
        for name, gap in zip(shown, gaps, strict=True)
    ]
    first = gaps[0]
    return (*cells, chance(first.p) if first else DASH, str(first.items) if first else DASH)


def _trained(series: Mapping[int, Series], place: int) -> Series | None:
    """Return the one of a seed, or the only one there is."""
    return next(iter(series.values())) if len(series) == 1 else series.get(place)
