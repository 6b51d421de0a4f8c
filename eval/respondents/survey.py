"""Loading a file of the World Values Survey, as downloaded, into a DuckDB file of respondents.

Invariant: what is loaded, left out and doubtful is in the report and in the file's table `notes`; a
file that is not understood is refused with one line and leaves nothing behind.

The survey's terms: non-profit use, citation, and no redistribution, which goes for the DuckDB file
too. Haerpfer et al. 2022, World Values Survey: Round Seven, doi:10.14281/18241.24.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from eval.item import Item
from eval.respondents.audit import audit, series_scores
from eval.respondents.column import load_columns
from eval.respondents.database import (
    Note,
    add_notes,
    create_tables,
    list_items,
    new_database,
    open_respondents,
)
from eval.respondents.dialect import Dialect, recognise
from eval.respondents.incoming import fill_incoming
from eval.respondents.intake import Wanted, fill_respondents, plan, select_respondents
from eval.respondents.label import read_codebook
from eval.respondents.load_report import CITATION, LoadReport
from eval.respondents.merge import merge
from folkways.errors import UserError

_WAVES = (7,)
TERMS = "Non-profit use; cite the survey; do not pass this file on: it holds its respondents."


def load_survey(
    path: Path,
    database: Path,
    items: Sequence[Item],
    *,
    waves: Collection[int] | None = _WAVES,
    countries: Collection[str] | None = None,
    labels: Path | None = None,
    replace: bool = False,
    all_countries: bool = True,
) -> LoadReport:
    """Load a downloaded file into a new DuckDB file, and return what was found.

    `waves` matters for the time series, None is all of them; `countries` are ISO 3166 alpha-3
    codes, None for all; `labels` is a .sav or .dta file of the survey, or a codebook, whose value
    labels turn a file of labels into numbers. Raises UserError for a file that cannot be read, that
    holds none of the items, or that has nobody from a country asked for; with `all_countries` off
    one of the countries is enough.
    """
    dialect = recognise(path)
    items = list({item.id: item for item in items}.values())
    with new_database(database, replace) as con:
        wanted = plan(dialect, items)
        book = read_codebook(labels)
        known = {column.target: book.get(column.source or "", {}) for column in wanted}
        wanted, notes = fill_incoming(con, dialect, wanted, items, known)
        notes += select_respondents(con, dialect, waves, countries)
        homes = _homes(con, path, waves, countries, all_countries)
        loaded, scores, found = _settle(con, dialect, items, wanted)
        notes += found
        sources = {column.target: column.source for column in wanted}
        computed = _computed(loaded, sources)
        people = sum(homes.values())
        notes += [Note(name, None, "computed", people, f"of {of}") for name, of in computed.items()]
        if items and not loaded:
            raise UserError(f"{path}, {dialect.name}: {_reason(dialect, len(items), notes)}")
        release = _release(con)
        con.execute("begin")
        create_tables(con, loaded, _meta(dialect, release))
        list_items(con, loaded, sources | computed)
        fill_respondents(con, loaded, scores, computed)
        notes += audit(con, wanted, loaded, {note.subject for note in notes})
        add_notes(con, notes)
        con.execute("commit")
    names = tuple(item.id for item in loaded)
    return LoadReport(database, dialect.name, release, homes, names, tuple(notes))


def load_surveys(
    paths: Sequence[Path],
    database: Path,
    items: Sequence[Item],
    *,
    countries: Collection[str] | None = None,
    labels: Path | None = None,
    replace: bool = False,
    append: bool = False,
) -> list[LoadReport]:
    """Load several downloaded files into one DuckDB file, and return what was found in each.

    With `append` the respondents of a file that is there already stay in it. Raises UserError as
    `load_survey` does, and where two files hold the same respondents; nothing is changed then.
    """
    if database.suffix in (".csv", ".sav", ".dta"):
        raise UserError(
            f"{database} stands where the DuckDB file to make belongs; name that one last, such as "
            "people.duckdb"
        )
    if append and replace:
        raise UserError("--append keeps what is there and --replace does not; choose one")
    if database.exists():
        if not (append or replace):
            raise UserError(
                f"{database} is there already; name another file, --append to it, or --replace it"
            )
        open_respondents(database).close()
    parts = [database] if append and database.exists() else []
    database.parent.mkdir(parents=True, exist_ok=True)
    reports = []
    with TemporaryDirectory(dir=database.parent) as folder:
        for number, path in enumerate(paths):
            part = Path(folder) / f"{number}.duckdb"
            report = load_survey(
                path, part, items, countries=countries, labels=labels, all_countries=False
            )
            reports.append(dataclasses.replace(report, database=database))
            parts.append(part)
        found = {country for report in reports for country in report.countries}
        if absent := sorted(set(countries or ()) - found):
            raise UserError(f"none of the files has respondents from {', '.join(absent)}")
        if len(parts) == 1:
            parts[0].replace(database)
        else:
            merge(parts, database, items, replace=True)
    return reports


def _homes(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    waves: Collection[int] | None,
    countries: Collection[str] | None,
    all_countries: bool,
) -> dict[str, int]:
    """Return respondents by country; raise UserError where there are none."""
    query = "select country, count(*) from {} where country is not null group by all order by all"
    homes: dict[str, int] = dict(con.execute(query.format("chosen")).fetchall())
    absent = sorted(set(countries or ()) - set(homes))
    if homes and not (absent and all_countries):
        return homes
    there = ", ".join(row[0] for row in con.execute(query.format("arrived")).fetchall())
    of_waves = f" in wave {', '.join(map(str, sorted(waves)))}" if waves else ""
    asked = f" from {', '.join(absent)}" if absent else ""
    raise UserError(
        f"{path} has no respondents{asked}{of_waves}; countries in the file: {there or 'none'}"
    )


def _settle(
    con: duckdb.DuckDBPyConnection, dialect: Dialect, items: list[Item], wanted: Sequence[Wanted]
) -> tuple[list[Item], dict[str, str], list[Note]]:
    """Return the items that can be loaded, expressions for some of them, and notes on the rest."""
    there = {column.target for column in wanted if column.source}
    present = [item for item in items if item.id in there]
    scores: dict[str, str] = {}
    notes: list[Note] = []
    if dialect.study != "wave-7":
        scores, notes = series_scores(con, present)
    return [item for item in present if scores.get(item.id) != "null"], scores, notes


def _computed(items: Sequence[Item], sources: Mapping[str, str | None]) -> dict[str, str]:
    """Return the indices that the file lacks and that its items make up, with these items."""
    there = {item.id for item in items}
    return {
        name: " ".join(column.of)
        for name, column in load_columns().indices.items()
        if column.of and not sources.get(name) and there.issuperset(column.of)
    }


def _reason(dialect: Dialect, count: int, notes: Sequence[Note]) -> str:
    if dialect.labelled and any(note.problem == "labels without a number" for note in notes):
        return (
            f"none of the {count} items has labels that folkways knows; give the survey's .sav or "
            ".dta file or its codebook as --labels, or load the .sav or .dta file instead"
        )
    return f"it has none of the {count} items that are asked for"


def _release(con: duckdb.DuckDBPyConnection) -> str:
    row = con.execute(
        "select coalesce(string_agg(distinct version, ', ' order by version), '') "
        "from incoming join chosen on incoming.rowid = chosen.place"
    ).fetchone()
    assert row is not None
    return str(row[0])


def _meta(dialect: Dialect, release: str) -> dict[str, str]:
    return {
        "synthetic": "false",
        "source": dialect.name,
        "file": dialect.path.name,
        "release": release,
        "terms": TERMS,
        "citation": CITATION,
    }
