"""A file of the survey, of whichever kind, into the table `incoming`, with notes on its labels.

Invariant: every cell becomes the number it has in wave 7, or a mark that it has none; a column that
cannot be read comes back without a source.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from eval.item import Item
from eval.respondents.database import Note
from eval.respondents.dialect import Dialect
from eval.respondents.intake import ADMIN, Wanted, create_incoming, insert_chunks, insert_csv
from eval.respondents.label import Codebook, read_label, recoding
from eval.respondents.label_csv import interpret, label_chunks
from eval.respondents.stat_file import read_chunks, read_labels
from folkways.errors import UserError


def fill_incoming(
    con: duckdb.DuckDBPyConnection,
    dialect: Dialect,
    wanted: list[Wanted],
    items: Sequence[Item],
    book: Codebook,
    codes: Mapping[str, Mapping[int, int]] | None = None,
) -> tuple[list[Wanted], list[Note]]:
    """Fill the table `incoming`; return its columns as they could be filled, with notes.

    `book` has value labels by target; `codes`, from a number of a .sav or .dta file to the one it
    stands for, are taken from the file's own labels where they are not given.
    """
    create_incoming(con, wanted)
    columns = {column.target: column.source for column in wanted if column.source}
    texts = [column.target for column in wanted if column.kind == "varchar"]
    notes: list[Note] = []
    lost: set[str] = set()
    if dialect.form != "csv":
        found = _recodings(dialect, columns, items) if codes is None else {}
        insert_chunks(con, _chunks(dialect, columns, texts, codes or found, book), wanted)
        notes += _recoding_notes(found, _rows(con))
        lost = {name for name, numbers in found.items() if not numbers}
    elif dialect.labelled:
        coded = {target: code for target, code in columns.items() if target not in texts}
        readings = interpret(dialect, coded, {item.id: item for item in items}, book)
        insert_chunks(con, label_chunks(dialect, columns, texts, readings), wanted)
        notes += _label_notes(readings.unread, "labels without a number", "left out")
        notes += _label_notes(readings.stray, "stray labels", "no answer")
        lost = set(readings.unread)
    else:
        try:
            insert_csv(con, dialect, wanted)
        except duckdb.InvalidInputException as error:
            raise UserError(_broken(dialect.path, str(error))) from error
    if dialect.encoding == "latin-1":
        detail = "read as Latin-1"
        notes.append(Note("respondents", None, "in text that is not UTF-8", _rows(con), detail))
    return [
        column._replace(source=None) if column.target in lost else column for column in wanted
    ], notes


def _rows(con: duckdb.DuckDBPyConnection) -> int:
    row = con.execute("select count(*) from incoming").fetchone()
    assert row is not None
    return int(row[0])


def _recodings(
    dialect: Dialect, columns: Mapping[str, str], items: Sequence[Item]
) -> dict[str, dict[int, int]]:
    """Return `label.recoding` for the items whose value labels contradict their numbers; the time
    series has numbers of its own."""
    if dialect.form == "csv" or dialect.study != "wave-7":
        return {}
    labels = read_labels(dialect.path, dialect.form)
    found = {
        item.id: recoding(item, labels[columns[item.id]])
        for item in items
        if columns.get(item.id) in labels
    }
    return {name: numbers for name, numbers in found.items() if numbers is not None}


def _chunks(
    dialect: Dialect,
    columns: Mapping[str, str],
    texts: Sequence[str],
    codes: Mapping[str, Mapping[int, int]],
    book: Codebook,
) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield the rows of a .sav or .dta file, recoded, with text among numbers read as labels."""
    assert dialect.form != "csv"
    names = {target: dialect.header[dialect.columns[code]] for target, code in columns.items()}

    def reader(target: str, text: str) -> float | None:
        return read_label(target, text, book.get(target, {}))

    for chunk in read_chunks(dialect.path, dialect.form, names, texts, reader):
        for name, numbers in codes.items():
            chunk[name] = np.array([numbers.get(value, value) for value in chunk[name]])
        yield chunk


def _recoding_notes(codes: Mapping[str, Mapping[int, int]], rows: int) -> list[Note]:
    return [
        Note(
            subject=name,
            country=None,
            problem="numbered otherwise",
            respondents=rows,
            detail="read by its labels" if numbers else "left out; its labels say otherwise",
        )
        for name, numbers in codes.items()
    ]


def _label_notes(found: Mapping[str, Counter[str]], problem: str, detail: str) -> list[Note]:
    """Return a note on every column with such labels; weights have notes of their own."""
    return [
        Note(name, None, problem, lost.total(), f"{detail}; {_quoted(lost)}")
        for name, lost in found.items()
        if name not in ADMIN
    ]


def _quoted(labels: Mapping[str, int]) -> str:
    return ", ".join(f"'{label}'" for label in list(labels)[:4])


def _broken(path: Path, message: str) -> str:
    """Return what DuckDB found wrong with a CSV file, in one line."""
    line = re.search(r"Line: (\d+)", message)
    where = f", line {line[1]}" if line else ""
    if columns := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message):
        what = f"{columns[2]} of {columns[1]} columns"
    elif "unterminated quote" in message:
        what = "a quoted cell without an end"
    else:
        what = message.splitlines()[0].removeprefix("Invalid Input Error: ")
    return f"{path}{where}: {what}; the file is cut off or was edited; download it again"
