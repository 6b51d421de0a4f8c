"""National answers to items, computed from a file of respondents by SQL, weighted or not.

Invariant: shares are of valid answers, and what is missing is reported beside them: don't know and
no answer as shares of those who were asked, everything else as a count. A cell without a valid
answer has no shares; it is in the result all the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from eval.metrics.grid import Grid, Scales
from eval.respondents.database import WEIGHTS, open_respondents, require_items
from folkways.errors import UserError, unknown_name

_ASKED = ("valid", "other", "don't know", "no answer")
"""What somebody answered who was asked; the rest did not get the question, or the file lost it."""


@dataclass(frozen=True, slots=True)
class National:
    """The answers of one country to one item."""

    country: str
    item: str
    codes: tuple[int, ...]
    """Points of the scale, ascending, also those that nobody chose."""
    shares: tuple[float, ...]
    """h_k = sum of w over answers k / sum of w over valid answers; empty without a valid answer."""
    valid: int
    """People with a valid answer and a weight above 0."""
    effective: float
    """Kish's effective sample size of the valid answers, (sum of w)^2 / sum of w^2."""
    independent: float
    """Answers of a simple random sample whose shares would vary as much: see `_independent`."""
    clusters: int
    """Sampling points (I_PSU) that the valid answers come from; 0 where the file has none."""
    asked: int
    """People who were asked."""
    respondents: int
    """People in the national sample."""
    dont_know: float
    """Weighted share of those asked who did not know; 0 where nobody was asked."""
    no_answer: float
    """Weighted share of those asked who gave no answer."""

    @property
    def missing(self) -> float:
        """Unweighted share of the sample without a valid answer that counts."""
        return 1 - self.valid / self.respondents


def national_answers(
    path: Path,
    items: Sequence[str] | None = None,
    countries: Collection[str] | None = None,
    *,
    weights: str = "national",
    wave: int | None = None,
) -> dict[tuple[str, str], National]:
    """Return the cells by country and item; all items and countries by default.

    `weights` is a name in `respondents.WEIGHTS`; `wave` None is each country's latest. Raises
    UserError for a country or item that the file does not have, and where nobody in a country has
    such a weight.
    """
    if weights not in WEIGHTS:
        raise unknown_name("weights", weights, WEIGHTS)
    with contextlib.closing(open_respondents(path)) as con:
        listed = con.execute("select item from items where scale <> 'index' order by rowid")
        known = [row[0] for row in listed.fetchall()]
        require_items(con, path, items or ())
        homes = _homes(con, countries, weights, wave)
        chosen = list(items or known)
        clustered = _clusters(con, chosen, homes)
        return {
            (country, item): _cell(
                country, item, homes[country], scale, rows, clustered.get((country, item))
            )
            for (country, item), (scale, rows) in _tallies(con, chosen, homes).items()
        }


_Tally = tuple[int | None, str, int, int, float, float]
"""Point, status, people, people with a weight above 0, sum of weights and of their squares."""


def _homes(
    con: duckdb.DuckDBPyConnection,
    countries: Collection[str] | None,
    weights: str,
    wave: int | None,
) -> dict[str, int]:
    """Make the view `people` of those who count; return how many there are by country."""
    which = "max(wave)" if wave is None else f"any_value({int(wave)})"
    con.execute(f"""
        create temp view people as
        select respondents.*, {WEIGHTS[weights]} as counts
        from respondents join (select country, {which} as wave from respondents group by all)
            using (country, wave)""")
    rows = con.execute(
        "select country, count(*), coalesce(sum(counts), 0) from people group by all order by all"
    ).fetchall()
    there = {country: (people, total) for country, people, total in rows}
    for country in sorted(set(countries or ()) - set(there)):
        raise UserError(f"no respondents from '{country}'; there are from {', '.join(there)}")
    homes = {
        home: people for home, (people, _) in there.items() if not countries or home in countries
    }
    bare = [home for home in homes if there[home][1] == 0]
    if bare:
        raise UserError(
            f"nobody from {', '.join(bare)} has a weight for '{weights}'; use weights 'none', or "
            "leave these countries out"
        )
    return homes


def _tallies(
    con: duckdb.DuckDBPyConnection, items: Sequence[str], homes: Collection[str]
) -> dict[tuple[str, str], tuple[tuple[int, ...], list[_Tally]]]:
    """Return scale and tallies of each cell, in the order of countries and items."""
    scales = {
        item: tuple(points)
        for item, points in con.execute(
            "select item, list(distinct code order by code) from codes where status = 'valid' "
            "group by item"
        ).fetchall()
    }
    cells: dict[tuple[str, str], tuple[tuple[int, ...], list[_Tally]]] = {
        (home, item): (scales[item], []) for home in homes for item in items
    }
    if not items:
        return cells
    listed = ", ".join(f'"{item}"' for item in items)
    rows = con.execute(f"""
        select country, item, code, coalesce(status, 'out of range'), n, counted, total, squared
        from (
            select country, item, raw, count(*) as n, count(*) filter (counts > 0) as counted,
                coalesce(sum(counts), 0) as total, coalesce(sum(counts * counts), 0) as squared
            from (
                (select country, counts, {listed} from people)
                unpivot include nulls (raw for item in ({listed}))
            ) group by all
        ) left join codes using (item, raw)""").fetchall()
    for country, item, *tally in rows:
        if (country, item) in cells:
            cells[country, item][1].append(tuple(tally))
    return cells


_Clusters = tuple[int, float]
"""Sampling points, and the sum over them and codes of (weighted answers less expected ones)^2."""


def _clusters(
    con: duckdb.DuckDBPyConnection, items: Sequence[str], homes: Collection[str]
) -> dict[tuple[str, str], _Clusters]:
    """Return the sampling points of cells in the countries that have any, of two or more; whoever
    has none there is one of their own."""
    found = con.execute(
        "select country from people where country in (select unnest(?)) group by country "
        "having count(distinct I_PSU) > 1",
        [list(homes)],
    ).fetchall()
    clusters: dict[tuple[str, str], _Clusters] = {}
    listed = ", ".join(f'"{item}"' for item in items)
    for (country,) in found if items else ():
        rows = con.execute(
            f"""
            with cells as (
                select item, code, coalesce(I_PSU::varchar, respondent_id) as place,
                    sum(counts) as said
                from (
                    (select I_PSU, respondent_id, counts, {listed} from people
                        where country = ? and counts > 0)
                    unpivot (raw for item in ({listed}))
                ) join codes using (item, raw) where status = 'valid' group by all
            ),
            shares as (
                select item, code, sum(said) / sum(sum(said)) over (partition by item) as share
                from cells group by item, code
            ),
            squares as (select item, sum(share * share) as square from shares group by item),
            places as (
                select item, place, sum(said) as total, sum(said * said) as squared,
                    sum(said * share) as crossed
                from cells join shares using (item, code) group by item, place
            )
            select item, count(*), sum(squared - 2 * total * crossed + total * total * square)
            from places join squares using (item) group by item""",
            [country],
        ).fetchall()
        clusters |= {(country, item): (number, apart) for item, number, apart in rows}
    return clusters


def _independent(
    shares: Sequence[float], rows: Sequence[_Tally], clusters: _Clusters | None
) -> float:
    """Return how many answers of a simple random sample have shares that vary as much as these.

    Their variance is that of a bootstrap which draws whole sampling points and keeps weights, in
    its limit of endless draws: between points, of the linearised shares, with points drawn with
    replacement (Kish & Frankel 1974; Wolter 2007, section 2.4). Respondents without a point are
    one each. No more than there are valid answers, for a gain is chance.
    """
    valid, total = sum(row[3] for row in rows), sum(row[4] for row in rows)
    square = sum(share * share for share in shares)
    number, apart = clusters or (valid, 0.0)
    if clusters is None:
        by_code = {row[0]: 0.0 for row in rows}
        for row in rows:
            by_code[row[0]] += row[4]
        apart = sum(row[5] * (1 - 2 * by_code[row[0]] / total + square) for row in rows)
    if number < 2 or apart < 1e-12 * total**2:
        return float(valid)
    variance = number / (number - 1) * apart / total**2
    return min(float(valid), 1 + (1 - square) / variance)


def _cell(
    country: str,
    item: str,
    respondents: int,
    scale: tuple[int, ...],
    rows: Sequence[_Tally],
    clusters: _Clusters | None,
) -> National:
    valid = [row for row in rows if row[1] == "valid"]
    asked = [row for row in rows if row[1] in _ASKED]
    total = sum(row[4] for row in valid)
    squared = sum(row[5] for row in valid)
    all_asked = sum(row[4] for row in asked)

    def rate(status: str) -> float:
        return sum(row[4] for row in asked if row[1] == status) / all_asked if all_asked else 0.0

    by_code = {code: 0.0 for code in scale}
    for code, _, _, _, weight, _ in valid:
        if code is not None:
            by_code[code] += weight
    shares = tuple(weight / total for weight in by_code.values()) if total else ()
    return National(
        country,
        item,
        scale,
        shares,
        valid=sum(row[3] for row in valid),
        effective=total**2 / squared if squared else 0.0,
        independent=_independent(shares, valid, clusters) if total else 0.0,
        clusters=clusters[0] if clusters else 0,
        asked=sum(row[2] for row in asked),
        respondents=respondents,
        dont_know=rate("don't know"),
        no_answer=rate("no answer"),
    )


def national_grid(cells: Mapping[tuple[str, str], National], *, nominal: Collection[str]) -> Grid:
    """Return the cells as the arrays that metrics work on; NaN where there is no valid answer.

    `nominal` names the items whose codes have no order.
    """
    countries = tuple(dict.fromkeys(country for country, _ in cells))
    codes = {item: cell.codes for (_, item), cell in cells.items()}
    scales = Scales.padded(
        codes, [item not in nominal or len(scale) == 2 for item, scale in codes.items()]
    )
    shape = (len(countries), len(codes))
    shares = np.full((*shape, scales.codes.shape[1]), np.nan)
    valid, missing, mode, independent, clusters = (np.full(shape, np.nan) for _ in range(5))
    for row, country in enumerate(countries):
        for column, item in enumerate(codes):
            cell = cells[country, item]
            if cell.shares:
                shares[row, column] = 0
                shares[row, column, : len(cell.shares)] = cell.shares
                valid[row, column], missing[row, column] = cell.valid, cell.missing
                independent[row, column] = cell.independent
                clusters[row, column] = cell.clusters or np.nan
                mode[row, column] = cell.codes[cell.shares.index(max(cell.shares))]
    return Grid(countries, scales, shares, valid, missing, mode, independent, clusters)
