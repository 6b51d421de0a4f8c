"""Comparisons of arms: differences on the same people and items, pooled over trainings, and
corrected for how many stand in one table.

Invariant: a difference is of two series that were asked and read alike; p is that of the first
measure shown, and the correction is over the rows of the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from eval.report.measure import measure
from eval.report.number import DASH, chance, interval
from eval.report.results import ALL, PairedDifference, Results, Series
from eval.report.table import Table, TableRow, new_table
from training.experiment.arm import BASE, HELD_OUT, SHUFFLED, shuffled
from training.experiment.correction import LEVEL, holm
from training.experiment.experiment import ExperimentSettings
from training.experiment.pooled import pooled

Trainings = Mapping[int, Sequence[Series]]
"""The series of an arm by the number of the training's seed; of the exchanged adapters several."""


class Pair(NamedTuple):
    """One arm less another."""

    name: str
    """What the row is called."""
    about: str
    one: Trainings
    two: Trainings


@dataclass(frozen=True, slots=True)
class Comparisons:
    """The arms of a study that are asked and read as one series of the base model is."""

    config: ExperimentSettings
    results: Results
    base: Series

    @property
    def title(self) -> str:
        """How they are asked and read."""
        parts = (self.base.method, self.base.style or "", self.base.reading)
        return ", ".join(part for part in parts if part)

    def alike(self) -> dict[str, Series]:
        """Return the series that are asked and read as the base model's, by model."""
        own = _protocol(self.base)
        return {each.model: each for each in self.results.series if _protocol(each) == own}

    def arms(self) -> Mapping[str, Trainings]:
        """Return the trainings of each arm by its name, the base model and the controls too."""
        alike, found = self.alike(), dict[str, dict[int, list[Series]]]()
        steps = [shuffled(step) for step in range(1, len(self.config.cultures))]
        further = {label for name in alike for label in self.config.labels(name)[1:]}
        for name in (one for one in alike if one not in further):
            trained = found.setdefault(SHUFFLED if name in steps else name, {})
            for number, label in enumerate(self.config.labels(name)):
                if label in alike:
                    trained.setdefault(number, []).append(alike[label])
        return found

    def all_of(self, name: str) -> list[Series]:
        """Return what was asked under a name, with whatever seed."""
        alike = self.alike()
        return [alike[label] for label in self.config.labels(name) if label in alike]

    def with_base(self, about: Mapping[str, str]) -> Iterator[Pair]:
        """Yield each arm less the base model."""
        for name, trained in self.arms().items():
            if name != BASE:
                yield Pair(name, about.get(name, ""), trained, {0: [self.base]})

    def with_controls(
        self, about: Mapping[str, str], pairs: Iterable[tuple[str, str]]
    ) -> Iterator[Pair]:
        """Yield the main arm less each control, then further pairs of arms."""
        arms, kept = self.arms(), (BASE, self.config.main, HELD_OUT)
        controls = [(self.config.main, other) for other in arms if other not in kept]
        for one, two in (*controls, *pairs):
            if one in arms and two in arms:
                yield Pair(f"{one} less {two}", about.get(two, ""), arms[one], arms[two])

    def difference(self, pair: Pair, metric: str) -> PairedDifference | None:
        """Return one less two, pooled over trainings."""
        return pooled(self.single(pair, metric))

    def single(self, pair: Pair, metric: str) -> list[PairedDifference]:
        """Return one less two of each training, less those with the same seed. What was trained
        once, or not at all, is compared with each."""
        paired = [
            both
            for place in sorted({*pair.one, *pair.two})
            for both in product(_trained(pair.one, place), _trained(pair.two, place))
        ]
        found = [single_difference(self.results, one, two, metric) for one, two in paired]
        return [gap for gap in found if gap]

    def table(
        self, title: str, pairs: Iterable[Pair], shown: Sequence[str], further: str = ""
    ) -> list[Table]:
        """Return the differences of pairs as a table, their p corrected; `further` goes into its
        note."""
        listed = list(pairs)
        gaps = [[self.difference(pair, metric) for metric in shown] for pair in listed]
        cells, held = corrected_cells([pair.name for pair in listed], gaps, shown)
        items = [str(found[0].items) if found[0] else DASH for found in gaps]
        rows = [
            TableRow((pair.name, pair.about, *each, number))
            for pair, each, number in zip(listed, cells, items, strict=True)
        ]
        head = ("", "", *(measure(name).title for name in shown), "p", "p, Holm", "items")
        note = " ".join(part for part in (held, self._seeds(), further) if part)
        return new_table(f"{title}: {self.title}", head, rows, note, words=2)

    def _seeds(self) -> str:
        if len(self.config.seeds) < 2:
            return ""
        seeds = ", ".join(map(str, self.config.seeds))
        return (
            f"Each arm was trained with the seeds {seeds}. A difference is the mean over them; its "
            "interval and p hold what differs between trainings beside people and items."
        )


def _protocol(series: Series) -> tuple[str | None, ...]:
    return (series.method, series.style, series.language, series.reading)


def single_difference(
    results: Results, one: Series, two: Series, metric: str
) -> PairedDifference | None:
    """Return one series less another, whichever way round it was computed."""
    for gap in results.gaps:
        if gap.metric != metric or gap.country != ALL:
            continue
        if (gap.one, gap.two) == (one.id, two.id):
            return gap
        if (gap.one, gap.two) == (two.id, one.id):
            value, low, high = (None if x is None else -x for x in (gap.value, gap.high, gap.low))
            return PairedDifference(one.id, two.id, metric, ALL, value, low, high, gap.p, gap.items)
    return None


def cell(gap: PairedDifference | None, metric: str) -> str:
    """Return a difference with its interval."""
    if gap is None:
        return DASH
    return interval(gap.value, gap.low, gap.high, measure(metric).decimals)


def corrected_cells(
    names: Sequence[str], gaps: Sequence[Sequence[PairedDifference | None]], shown: Sequence[str]
) -> tuple[list[tuple[str, ...]], str]:
    """Return the differences of each row of a table, then p of its first one, plain and corrected
    over the rows; and in a sentence which hold."""
    plain = [row[0].p if row[0] else None for row in gaps]
    corrected = holm(plain)
    cells = [
        (*map(cell, row, shown), *((chance(p), chance(own)) if row[0] else (DASH, DASH)))
        for row, p, own in zip(gaps, plain, corrected, strict=True)
    ]
    return cells, _holding(names, corrected)


def _holding(names: Sequence[str], corrected: Sequence[float | None]) -> str:
    """Return in a sentence which comparisons hold."""
    tested = [(name, p) for name, p in zip(names, corrected, strict=True) if p is not None]
    if not tested:
        return ""
    held = ", ".join(name for name, p in tested if p < LEVEL)
    return (
        f"After Holm's correction over the {len(tested)} comparisons of this table "
        f"{held or 'none'} holds at {LEVEL:g}."
    )


def _trained(series: Trainings, place: int) -> Sequence[Series]:
    """Return those of a seed, or of the only one there is."""
    return next(iter(series.values())) if len(series) == 1 else series.get(place, ())


def primary_table(config: ExperimentSettings, asked: Sequence[Comparisons]) -> list[Table]:
    """Return the one comparison that the study's file declares, not corrected for the others."""
    told = config.primary
    if told is None:
        return []
    for each in asked:
        if told.method not in (None, each.base.method):
            continue
        if told.reading not in (None, each.base.reading):
            continue
        arms = each.arms()
        if told.arm not in arms or told.against not in arms:
            continue
        pair = Pair(f"{told.arm} less {told.against}", "", arms[told.arm], arms[told.against])
        gap = each.difference(pair, told.metric)
        p = gap.p if gap else None
        holds = DASH if p is None else ("yes" if p < LEVEL else "no")
        cells = (pair.name, each.title, cell(gap, told.metric), chance(p), holds)
        head = ("", "asked as", measure(told.metric).title, "p", f"holds at {LEVEL:g}")
        return new_table("", head, [TableRow(cells)], words=2)
    return new_table(
        "", ("", ""), [TableRow((f"{told.arm} less {told.against}", "not asked"))], words=2
    )
