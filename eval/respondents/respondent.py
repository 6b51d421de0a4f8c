"""People drawn from a file of respondents, one by one.

Invariant: the same file, country and seed give the same people in the same order, so that two
models answer for the same respondents; what somebody did not say is None.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import duckdb

from eval.respondents.column import load_columns
from eval.respondents.database import open_respondents, require_items
from folkways.errors import UserError, unknown_name

CLCA_FIELDS = (
    "H_SETTLEMENT", "H_URBRURAL", "Q260", "X003R", "Q263", "Q273", "Q270", "Q275", "Q281", "Q279",
    "Q287",
)  # fmt: skip
"""The demographics that CLCA describes a respondent by, beside the country (Liu et al. 2025)."""


@dataclass(frozen=True, slots=True)
class Respondent:
    """A person with answers."""

    id: str
    country: str
    synthetic: bool
    weight: float | None
    demographics: Mapping[str, int | None]
    """By column; None where the person gave no answer, for the clause to be left out."""
    answers: Mapping[str, int | None]
    """Points of the scale by item; None where there is no valid answer."""
    cluster: int | None = None
    """Sampling point (I_PSU); None where the file has none."""


def draw_respondents(
    path: Path,
    country: str,
    count: int | None = None,
    *,
    seed: int = 0,
    wave: int | None = None,
    items: Collection[str] = (),
    fields: Sequence[str] = CLCA_FIELDS,
) -> list[Respondent]:
    """Return `count` people of a country, drawn without replacement; all of them by default.

    `wave` None is the country's latest. The same seed gives the same people, and a longer draw
    begins with the shorter one. Raises UserError for a country, an item or a demographic that the
    file does not have, and where it has fewer people than that.
    """
    with contextlib.closing(open_respondents(path)) as con:
        require_items(con, path, items)
        for field in set(fields) - set(load_columns().demographics):
            raise unknown_name("demographic", field, load_columns().demographics)
        rows = con.execute("select respondent_id, country, wave from respondents").fetchall()
        if wave is None:
            wave = max((then for _, home, then in rows if home == country), default=None)
        ids = [person for person, home, then in rows if (home, then) == (country, wave)]
        if not ids:
            homes = {home for _, home, then in rows if wave in (None, then)}
            of_wave = "" if wave is None else f" in wave {wave}"
            raise UserError(
                f"no respondents from '{country}'{of_wave}; there are from {_listed(homes)}"
            )
        if count is not None and not 0 < count <= len(ids):
            raise UserError(f"cannot draw {count} of the {len(ids)} respondents from {country}")
        ids.sort(key=lambda person: sha256(f"{seed} {person}".encode()).digest())
        return _read(con, ids[:count], list(items), list(fields))


def named_respondents(
    path: Path,
    interviews: Collection[str],
    *,
    items: Collection[str] = (),
    fields: Sequence[str] = CLCA_FIELDS,
) -> dict[str, Respondent]:
    """Return the people with these ids of interviews (D_INTERVIEW), by the id; where two have one,
    as 858069901 does, the first of them."""
    with contextlib.closing(open_respondents(path)) as con:
        require_items(con, path, items)
        rows = con.execute(
            "select D_INTERVIEW, min(respondent_id) from respondents "
            "where D_INTERVIEW in (select unnest(?)) group by all order by all",
            [list(interviews)],
        ).fetchall()
        people = _read(con, [person for _, person in rows], list(items), list(fields))
    return {interview: person for (interview, _), person in zip(rows, people, strict=True)}


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "nowhere"


def _read(
    con: duckdb.DuckDBPyConnection, ids: list[str], items: list[str], fields: list[str]
) -> list[Respondent]:
    points = {
        (item, raw): point
        for item, raw, point in con.execute("select item, raw, code from codes").fetchall()
    }
    columns = ", ".join(f'"{name}"' for name in [*fields, *items])
    rows = con.execute(
        f"select respondent_id, country, synthetic, weight, I_PSU{columns and ', '}{columns} "
        "from respondents where respondent_id in (select unnest(?))",
        [ids],
    ).fetchall()
    people = {}
    for row in rows:
        values = row[5:]
        raws = zip(items, values[len(fields) :], strict=True)
        people[row[0]] = Respondent(
            id=row[0],
            country=row[1],
            synthetic=row[2],
            weight=row[3],
            demographics=dict(zip(fields, values, strict=False)),
            answers={item: points.get((item, raw)) for item, raw in raws},
            cluster=row[4],
        )
    return [people[person] for person in ids]
