"""Runs the controls through an evaluation and holds its report against what is true of each.

Invariant: the controls are asked, stored, read and scored like any other model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from eval.config import EvalConfig, parse_eval_config
from eval.evaluate import evaluate
from eval.report.name import country_name, names
from eval.report.number import number
from eval.report.results import ALL, Results, Series
from eval.report.verdict import METRIC, Verdict, verdict
from eval.report.write import load_results, write_files
from folkways.errors import UserError
from simulation.store.reader import open_reader

_SHORT = "control:"
_FOREIGN = "CHN"
"""Whose people one control answers as."""
_DRAWS = 1000
"""Bootstrap draws."""


class _Expected(NamedTuple):
    """What is true of a control; None where nothing is claimed."""

    at_floor: bool | None = None
    guesser: bool | None = None
    order: bool | None = None
    nearest: str | None = None
    """A country, or `own`."""


TRUE = {
    "people": _Expected(at_floor=True, guesser=False, order=False, nearest="own"),
    f"people-of:{_FOREIGN}": _Expected(order=False, nearest=_FOREIGN),
    "first-option": _Expected(at_floor=False, guesser=True, order=True),
    "uniform": _Expected(at_floor=False, guesser=True, order=False),
    "order-biased:0.3": _Expected(at_floor=False, guesser=False, order=True),
}
"""What the report has to say of each control, by its name."""


class Outcome(NamedTuple):
    """What the report says of a control, read in one way."""

    line: str
    wrong: tuple[str, ...]
    """What of it is not true."""


def try_controls(
    run: Path,
    utc: datetime,
    *,
    items: str,
    cultures: Sequence[str],
    samples: int,
    quiet: bool = False,
) -> list[Outcome]:
    """Ask all controls for cultures, by log-probabilities and text with `samples` draws in each
    order, write the report into the folder `run`, and return what it says of each.

    Raises UserError where the folder holds something else.
    """
    if _FOREIGN not in cultures or len(cultures) < 3:
        raise UserError(f"name three cultures or more, {_FOREIGN} among them")
    config = _config(run, items, cultures, samples)
    evaluate(config, quiet=quiet)
    with closing(open_reader(run)) as con:
        results = load_results(con, run, utc, _DRAWS)
        write_files(con, results, run)
    return list(outcomes(results))


def _config(run: Path, items: str, cultures: Sequence[str], samples: int) -> EvalConfig:
    return parse_eval_config(
        {
            "name": run.name,
            "out": str(run.parent),
            "models": [{"name": _SHORT + name} for name in TRUE],
            "items": items,
            "cultures": list(cultures),
            "methods": ["culture"],
            "samples": samples,
            "temperature": 1.0,
        },
        "the controls",
    )


def outcomes(results: Results) -> Iterator[Outcome]:
    """Yield what results say of every control; the two readings of its text are alike."""
    for series in results.series:
        expected = TRUE.get(series.model.removeprefix(_SHORT))
        if expected is not None and series.reading != "text-lenient":
            found = verdict(results, series)
            wrong = tuple(_wrong(found, expected))
            line = f"{names(results)[series.id]}: {_said(results, series, found)}"
            yield Outcome(line, wrong)


def _said(results: Results, series: Series, found: Verdict) -> str:
    score = next(
        s for s in results.scores if (s.who, s.country, s.metric) == (series.id, ALL, METRIC)
    )
    said = {
        "at the floor": found.at_floor,
        "a guesser": found.guesser,
        "an order artefact": found.order,
    }
    own, asked = found.own
    nearest = f"{own} of {asked} own" if own > 1 else country_name(found.whose or "")
    return (
        f"{', '.join(word for word, holds in said.items() if holds) or 'none of the three'}; "
        f"nearest people {nearest}; JS distance {number(score.value)} (perfect sampler "
        f"{number(score.floor)}, guesser {number(score.guess)})"
    )


def _wrong(found: Verdict, expected: _Expected) -> Iterator[str]:
    for name in ("at_floor", "guesser", "order"):
        wanted, told = getattr(expected, name), getattr(found, name)
        if wanted is not None and told != wanted:
            yield f"{name.replace('_', ' ')} is {told}, should be {wanted}"
    own, asked = found.own
    if expected.nearest == "own" and own < asked:
        yield f"nearest to their own people are {own} of {asked} cultures, should be all"
    if expected.nearest not in (None, "own") and {*found.nearest.values()} != {expected.nearest}:
        yield f"nearest people are {found.nearest}, should be {expected.nearest}"
