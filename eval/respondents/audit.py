"""What a loaded file holds that is no answer of the codebook, and what it lacks, with counts.

Invariant: findings are counted after respondents were chosen, on the tables as they are stored.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import duckdb

from eval.item import Item
from eval.respondents.column import load_columns
from eval.respondents.database import Note
from eval.respondents.intake import ADMIN, Wanted
from eval.respondents.stat_file import UNREADABLE, UNWEIGHTED

_STRAY_SHARE = 0.01
"""Share of answers outside the wave-7 options from which on a time-series column counts as coded
differently, and is left out, instead of as having stray values."""


def series_scores(
    con: duckdb.DuckDBPyConnection, items: Sequence[Item]
) -> tuple[dict[str, str], list[Note]]:
    """Return expressions that give time-series columns their wave-7 codes, and what was left out.

    In the time series a choice between two is often 0 no, 1 yes, where wave 7 has 1 yes, 2 no. Any
    other column with codes that wave 7 does not have gets the expression `null`.
    """
    scores: dict[str, str] = {}
    notes: list[Note] = []
    for item in items:
        counts: dict[int, int] = dict(
            con.execute(
                f'select "{item.id}", count(*) from incoming join chosen '
                f'on incoming.rowid = chosen.place where "{item.id}" >= 0 group by all'
            ).fetchall()
        )
        if tuple(item.options) == (1, 2) and 0 in counts and 2 not in counts:
            scores[item.id] = f'if("{item.id}" = 0, 2, "{item.id}")'
            notes.append(Note(item.id, None, "0 is no in this file", counts[0], "read as 2"))
            continue
        stray = {code: n for code, n in counts.items() if code not in item.options}
        if sum(stray.values()) > _STRAY_SHARE * sum(counts.values()):
            scores[item.id] = "null"
            detail = f"left out; codes {_listed(stray)} are not those of wave 7"
            notes.append(Note(item.id, None, "coded differently", sum(counts.values()), detail))
    return scores, notes


def audit(
    con: duckdb.DuckDBPyConnection,
    wanted: Sequence[Wanted],
    items: Sequence[Item],
    noted: Collection[str],
) -> list[Note]:
    """Return the findings on weights, demographics and items.

    A column in `noted`, on which there is a note already, is not reported as absent once more.
    """
    total = con.execute("select count(*) from respondents").fetchone()
    assert total is not None
    there = {column.target for column in wanted if column.source}
    absent = [
        column.target
        for column in wanted
        if column.target not in {*there, *noted, *ADMIN, *load_columns().indices}
    ]
    return [
        *_weights(con, "W_WEIGHT" in there, total[0]),
        *(Note(name, None, "not in the file", total[0], None) for name in absent),
        *_demographics(con, there),
        *(
            note
            for note in _items(con, [item.id for item in items])
            if note.problem != "not a number" or note.subject not in noted
        ),
    ]


def _weights(con: duckdb.DuckDBPyConnection, there: bool, total: int) -> list[Note]:
    if not there:
        return [Note("weights", None, "no column of weights", total, "only unweighted figures")]
    chosen = "from incoming join chosen on incoming.rowid = chosen.place"
    kinds = {
        "missing": ("W_WEIGHT is null", "left out of weighted figures"),
        "text": (f"W_WEIGHT = {UNREADABLE}", "left out of weighted figures"),
        "negative": (
            f"W_WEIGHT < 0 and W_WEIGHT not in ({UNREADABLE}, {UNWEIGHTED})",
            "left out of weighted figures",
        ),
        "without weighting": (f"W_WEIGHT = {UNWEIGHTED}", "read as weight 1"),
        "zero": ("W_WEIGHT = 0", "count for nothing in weighted figures"),
    }
    notes = []
    for problem, (where, detail) in kinds.items():
        row = con.execute(f"select count(*) {chosen} where {where}").fetchone()
        assert row is not None
        notes.append(Note("weights", None, problem, row[0], detail))
    bare = con.execute(
        "select country, count(*) from respondents group by all "
        "having coalesce(sum(weight), 0) = 0 order by all"
    ).fetchall()
    detail = "only unweighted figures"
    notes += [Note("weights", country, "where none is above 0", n, detail) for country, n in bare]
    return [note for note in notes if note.respondents]


def _demographics(con: duckdb.DuckDBPyConnection, there: Collection[str]) -> list[Note]:
    notes = []
    for name, column in load_columns().demographics.items():
        if name not in there:
            continue
        low, high = column.range
        row = con.execute(
            f"""select count(*) filter ("{name}" is null or "{name}" between -5 and -1),
                count(*) filter ("{name}" not between {low} and {high}
                    and "{name}" not between -5 and -1)
            from incoming join chosen on incoming.rowid = chosen.place"""
        ).fetchone()
        assert row is not None
        notes.append(Note(name, None, "no answer", row[0], "null"))
        notes.append(Note(name, None, "out of range or no number", row[1], "null"))
    return [note for note in notes if note.respondents]


def _items(con: duckdb.DuckDBPyConnection, items: Collection[str]) -> list[Note]:
    if not items:
        return []
    listed = ", ".join(f'"{item}"' for item in items)
    con.execute(f"""
        create temp table tally as
        select item, country, raw, coalesce(status, 'out of range') as status, n
        from (
            select item, country, raw, count(*) as n from (
                (select country, {listed} from respondents)
                unpivot include nulls (raw for item in ({listed}))
            ) group by all
        ) left join codes using (item, raw)""")
    kinds = {
        "empty cell": ("raw is null", "counted as missing"),
        "not a number": (f"raw = {UNREADABLE:.0f}", "counted as out of range"),
        "out of range": (
            f"raw <> {UNREADABLE:.0f} and status = 'out of range'",
            "no answer; the values are",
        ),
    }
    notes = []
    for problem, (where, detail) in kinds.items():
        values = ", list(distinct raw order by raw)" if problem == "out of range" else ", []"
        rows = con.execute(
            f"select item, sum(n)::bigint{values} from tally where {where} "
            "group by item order by item"
        ).fetchall()
        notes += [
            Note(item, None, problem, n, f"{detail} {_listed(found)}".strip())
            for item, n, found in rows
        ]
    silent = con.execute("""
        select item, country, sum(n)::bigint from tally group by all
        having not bool_or(status = 'valid') order by all""").fetchall()
    notes += [Note(item, home, "no valid answer", n, "no cell") for item, home, n in silent]
    return notes


def _listed(values: Collection[int]) -> str:
    """Return up to eight values in words."""
    shown = ", ".join(str(value) for value in sorted(values)[:8])
    return f"{shown}, ..." if len(values) > 8 else shown
