"""Pools of personas: the shipped ones, and files of the user's own, however large.

Invariant: no two personas share an id, and a file of a million people takes no more memory than
those who are drawn from it.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from heapq import heappush, heapreplace
from pathlib import Path
from typing import IO, Any

from folkways.errors import UserError
from scenarios.parsing.problem import Finding, Problem, SourceError, show_value
from scenarios.parsing.validation import load_model, parse
from scenarios.parsing.yaml_file import MAX_BYTES
from scenarios.persona import Persona, PersonaPool

PERSONA_FOLDER = Path(__file__).parent / "personas"
PER_CULTURE = 2000
"""People of one culture that are drawn from a streamed file at most."""
_MAX_LINE = 64 * 1024
"""Characters of a line of JSONL."""


def read_pool(path: Path) -> tuple[Persona, ...]:
    """Return the personas of one pool file, in the order they are written.

    Raises UserError with line and column for whatever is not YAML or not allowed by the schema, and
    for an id that is given twice.
    """
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise UserError(
            f"'{path}' is too large for a YAML file, at most {MAX_BYTES // 1024} KiB; write it as "
            "JSONL, CSV or Parquet, which are read as a stream"
        )
    pool, source = load_model(path, PersonaPool)
    ids = [persona.id for persona in pool.personas]
    repeated = [
        Finding(("personas", number, "id"), "this id is taken; choose another", show_value(name))
        for number, name in enumerate(ids)
        if name in ids[:number]
    ]
    if repeated:
        raise SourceError(source.name, map(source.place, repeated))
    return pool.personas


def draw_pool(path: Path, seed: int, named: Collection[str] = ()) -> list[Persona]:
    """Return the personas of a pool file, of each culture PER_CULTURE at most.

    YAML is read whole; JSONL (a persona a line), CSV (a column a field; traits and languages joined
    by semicolons) and Parquet are read as a stream. Who is drawn depends on the seed and the ids
    alone, and those in `named` always are. Raises UserError with the line of the first fault.
    """
    if path.suffix not in _STREAMS:
        return list(read_pool(path))
    drawn: dict[str, list[tuple[int, int, Persona]]] = defaultdict(list)
    kept: dict[str, Persona] = {}
    for line, row in _STREAMS[path.suffix](path):
        persona, findings = parse(row, Persona)
        if persona is None:
            raise SourceError(str(path), [_at(line, findings[0])])
        if persona.id in named:
            if persona.id in kept:
                raise UserError(f"{path}:{line}:1: error: the id '{persona.id}' is taken")
            kept[persona.id] = persona
            continue
        key = int.from_bytes(sha256(f"{seed} {persona.id}".encode()).digest()[:8])
        heap = drawn[persona.culture]
        if len(heap) < PER_CULTURE:
            heappush(heap, (-key, line, persona))
        elif -key > heap[0][0]:
            heapreplace(heap, (-key, line, persona))
    found = {}
    for _, line, persona in sorted(one for heap in drawn.values() for one in heap):
        if persona.id in found:
            raise UserError(f"{path}:{line}:1: error: the id '{persona.id}' is taken")
        found[persona.id] = persona
    return [*kept.values(), *(found[id_] for id_ in sorted(found))]


def _at(line: int, finding: Finding) -> Problem:
    path, message, value, allowed, severity, _ = finding
    return Problem(line, 1, path, value, message, allowed, severity)


def _json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    number = 0
    with _opened(path) as file:
        while line := file.readline(_MAX_LINE + 1):
            number += 1
            if len(line) > _MAX_LINE:
                raise UserError(f"{path}:{number}:1: error: longer than {_MAX_LINE:,} characters")
            if line.strip():
                try:
                    yield number, json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise UserError(f"{path}:{number}:1: error: not one JSON object") from error


def _csv_rows(path: Path) -> Iterator[tuple[int, Any]]:
    with _opened(path) as file:
        rows = csv.DictReader(file, strict=True)
        try:
            for row in rows:
                data: dict[str, Any] = {str(k): v for k, v in row.items() if v not in (None, "")}
                for name in ("traits", "languages"):
                    if name in data:
                        data[name] = [part.strip() for part in data[name].split(";")]
                if str(data.get("age", "")).strip().isdecimal():
                    data["age"] = int(data["age"])
                yield rows.line_num, data
        except csv.Error as error:
            raise UserError(f"{path}:{rows.line_num}:1: error: not a CSV row") from error


def _parquet_rows(path: Path) -> Iterator[tuple[int, Any]]:
    import duckdb

    with duckdb.connect(config={"memory_limit": "256MB", "threads": 1}) as con:
        try:
            cursor = con.execute("select * from read_parquet(?)", [str(path)])
            names = [column[0] for column in cursor.description or ()]
            number = 0
            while rows := cursor.fetchmany(1024):
                for values in rows:
                    number += 1
                    pairs = zip(names, values, strict=True)
                    yield number, {name: value for name, value in pairs if value is not None}
        except duckdb.Error as error:
            raise UserError(f"cannot read '{path}' as Parquet") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"'{path}' is not UTF-8; save it as UTF-8") from error


_STREAMS: dict[str, Callable[[Path], Iterator[tuple[int, Any]]]] = {
    ".jsonl": _json_lines,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
}


@cache
def load_personas() -> dict[str, Persona]:
    """Return the shipped personas by id, pool after pool; read once, not to be changed."""
    pools = [read_pool(path) for path in sorted(PERSONA_FOLDER.glob("*.yaml"))]
    return {persona.id: persona for pool in pools for persona in pool}
