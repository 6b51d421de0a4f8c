"""National answer shares of WVS-7 for 19 countries and 259 items, as shipped in `eval/respondents`.

Invariant: shares are of valid answers and unweighted, missing answers are counted apart, and an
item that was not put to a country has no cell. Source, terms and citation:
eval/respondents/SOURCE.md.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path

import numpy as np

from eval.item import Item
from eval.metrics.grid import Grid, Scales
from folkways.errors import UserError, unknown_name

PEOPLE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Cell:
    """The answers of one country to one item."""

    country: str
    item: str
    codes: tuple[int, ...]
    """Every code of the scale, ascending, also those that nobody chose."""
    counts: tuple[int, ...]
    """People by code. They are whole: shares times the number of valid answers."""
    respondents: int
    """The national sample, those without a valid answer included."""
    mode: int
    """The most frequent code; of equally frequent ones the one that the source puts first."""

    @property
    def valid(self) -> int:
        """How many gave a valid answer."""
        return sum(self.counts)

    @property
    def shares(self) -> tuple[float, ...]:
        """Shares of valid answers by code; they sum to 1."""
        return tuple(count / self.valid for count in self.counts)

    @property
    def missing(self) -> float:
        """Share of the sample without a valid answer: no reply, no opinion, or not asked."""
        return 1 - self.valid / self.respondents

    def recoded(self, recode: Mapping[int, int], other: Collection[int] = ()) -> Cell | None:
        """Return the cell on another scale, or None where no valid answer is left.

        `recode` maps codes of the file to codes of the scale; codes of the file in `other` are no
        point of the scale and count as missing.
        """
        counts: Counter[int] = Counter()
        for code, count in zip(self.codes, self.counts, strict=True):
            if code not in other:
                counts[recode.get(code, code)] += count
        if not any(counts.values()):
            return None
        mode = None if self.mode in other else recode.get(self.mode, self.mode)
        return replace(
            self,
            codes=tuple(sorted(counts)),
            counts=tuple(counts[code] for code in sorted(counts)),
            mode=max(sorted(counts), key=lambda code: (counts[code], code == mode)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Marginals:
    """The cells of several countries and items."""

    cells: Mapping[tuple[str, str], Cell]
    """By country (ISO 3166 alpha-3) and item; cells that were not asked are absent."""
    countries: tuple[str, ...]
    """In alphabetical order."""
    items: tuple[str, ...]
    """In the order of the questionnaire."""
    culturespa: tuple[str, ...]
    """The 18 countries of CultureSPA in the order of its tables, which decides ties."""

    def cell(self, country: str, item: str) -> Cell:
        """Return a cell; raise UserError for a country or an item without answers."""
        self._demand(country)
        if item not in self.items:
            raise unknown_name("item", item, self.items)
        if (country, item) not in self.cells:
            raise UserError(f"{item} has no answers from {country}: it was not asked there")
        return self.cells[country, item]

    def _demand(self, country: str) -> None:
        if country not in self.countries:
            raise UserError(
                f"there are no national answers for '{country}'; there are for "
                f"{', '.join(self.countries)}; for others load the survey's own file"
            )

    def grid(self, countries: Sequence[str], items: Sequence[Item]) -> Grid:
        """Return arrays on the points of the registry's scales, in the order of the arguments.

        Codes that are no point of a scale are missing, recodes are made. Raises UserError for a
        country without data; a cell that was not asked is NaN.
        """
        cells = {
            (country, item.id): self.cells[country, item.id].recoded(item.recode, item.other)
            for country in countries
            for item in items
            if (country, item.id) in self.cells
        }
        ordinal = [item.scale != "nominal" for item in items]
        scales = Scales.padded({item.id: item.points for item in items}, ordinal)
        return self._grid(countries, scales, cells)

    def file_grid(self, countries: Sequence[str], items: Sequence[str]) -> Grid:
        """Return arrays on the codes of the survey's file, all taken for ordered, as CultureSPA's
        score has them. Raises UserError for a country or an item without data."""
        codes = {item: cell.codes for (_, item), cell in self.cells.items()}
        for item in items:
            if item not in codes:
                raise unknown_name("item", item, codes)
        scales = Scales.padded({item: codes[item] for item in items}, [True] * len(items))
        return self._grid(countries, scales, self.cells)

    def _grid(
        self,
        countries: Sequence[str],
        scales: Scales,
        cells: Mapping[tuple[str, str], Cell | None],
    ) -> Grid:
        for country in countries:
            self._demand(country)
        shape = (len(countries), len(scales.items))
        shares = np.full((*shape, scales.codes.shape[1]), np.nan)
        valid, missing, mode = (np.full(shape, np.nan) for _ in range(3))
        for row, country in enumerate(countries):
            for column, item in enumerate(scales.items):
                if cell := cells.get((country, item)):
                    shares[row, column] = 0
                    shares[row, column, : len(cell.codes)] = cell.shares
                    valid[row, column] = cell.valid
                    missing[row, column] = cell.missing
                    mode[row, column] = cell.mode
        return Grid(tuple(countries), scales, shares, valid, missing, mode)


@cache
def load_marginals() -> Marginals:
    """Return the shipped national answers; read once in a process."""
    countries = {row["country"]: row for row in _read("countries.csv")}
    facts = {(row["country"], row["item"]): row for row in _read("cells.csv")}
    cells = {}
    for key, rows in groupby(_read("marginals.csv"), key=lambda row: (row["country"], row["item"])):
        respondents = int(countries[key[0]]["respondents"])
        valid = round(respondents * (1 - float(facts[key]["missing"])))
        points = [(int(row["code"]), round(float(row["share"]) * valid)) for row in rows]
        codes, counts = zip(*points, strict=True)
        cells[key] = Cell(*key, codes, counts, respondents, int(facts[key]["mode"]))
    ranked = {int(row["culturespa"]): code for code, row in countries.items() if row["culturespa"]}
    items = sorted({item for _, item in cells}, key=lambda item: (int(item[1:].rstrip("A")), item))
    return Marginals(
        cells, tuple(sorted(countries)), tuple(items), tuple(ranked[n] for n in sorted(ranked))
    )


def _read(name: str) -> Iterator[dict[str, str]]:
    with (PEOPLE / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
