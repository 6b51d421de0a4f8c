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
from eval.report.number import DASH, number
from eval.report.results import ALL, PairedDifference, Results, Series
from eval.report.table import Section, Table, TableRow, new_table
from eval.report.write import load_results, write_files
from eval.survey.condition import conditions
from simulation.store.reader import open_reader, read_rows
from training.experiment.adapters import adapter_folder, trainings
from training.experiment.arm import BASE, HELD_OUT, NULL, SHUFFLED
from training.experiment.comparison import Comparisons, primary_table, single_difference
from training.experiment.corpus_folders import read_corpora
from training.experiment.experiment import SHOWN, ExperimentSettings
from training.experiment.matrix import matrix_tables

_DRAWS = 2000
"""Bootstrap draws."""
_DRAWN = SHOWN[:3]
"""Those of the plot."""
_ABOUT = {
    BASE: "the model as it was",
    SHUFFLED: "the adapters of other cultures",
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
    asked = [
        Comparisons(config, results, series) for series in results.series if series.model == BASE
    ]
    yield from titled("primary", primary_table(config, asked))
    moved = [
        one.table(
            "Less the base model",
            one.with_base(about),
            shown,
            diversity_line(results, [*one.alike().values()]),
        )
        for one in asked
    ]
    controls = [
        one.table("Arm against arm", one.with_controls(about, pairs), shown) for one in asked
    ]
    usable = [_format(one, about) for one in asked]
    yield from titled("moved", list(chain(*moved)))
    yield from titled("controls", list(chain(*controls)))
    yield from titled("matrix", matrix_tables(asked))
    yield from titled("format", list(chain(*usable)))


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


def _format(asked: Comparisons, about: _About) -> list[Table]:
    """Return how many answers are valid, and what of a gain they are."""
    rows, results, base = [], asked.results, asked.base
    for model, series in asked.alike().items():
        homes = [each.country for each in results.rates if each.who == series.id]
        mine, before = (_usable(results, who, homes) for who in (series, base))
        cells = [model, about.get(model, ""), mine, before]
        if model == BASE:
            cells += [DASH] * 3
        else:
            plain, whole = (
                single_difference(results, series, base, metric)
                for metric in ("tv", "tv_penalised")
            )
            cells += [_value(plain), _value(whole), _less(whole, plain)]
        rows.append(TableRow(tuple(cells)))
    named = ("usable", "base, same cultures", "TV of valid answers", "TV, invalid as worst")
    head = ("arm", "", *named, "format alone")
    return new_table(asked.title, head, rows, words=2)


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
