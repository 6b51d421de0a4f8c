"""The formats a corpus is written in: the keys of each, and the files.

Invariant: a format changes how rows are written, never which; TRL, LLaMA-Factory and axolotl train
on the files as they are.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from agents.models.base import Message
from folkways.errors import UserError
from folkways.provenance import short_hash
from folkways.registry import facts_of, resolve

Stored = Mapping[str, Any]
"""A row as it is kept: id, messages, rejected, meta."""
SPLITS = ("train", "validation")
COLUMNS: dict[str, str] = {
    "task": "varchar",
    "episode_id": "varchar",
    "role": "varchar",
    "persona_id": "varchar",
    "persona_ids": "varchar[]",
    "scenario_id": "varchar",
    "culture_id": "varchar",
    "language": "varchar",
    "model": "varchar",
    "turns": "integer[]",
    "parties": "integer",
}
"""Metadata in their order, with DuckDB's types."""
HUMAN, GPT = "human", "gpt"
DATASET_INFO = "dataset_info.json"


class Format(NamedTuple):
    """One format."""

    about: str
    ending: str
    """Ending of the files, which decides how they are written: jsonl, json or parquet."""
    objects: Callable[[Stored], Iterator[dict[str, Any]]]
    """What a row is written as; one object or several."""
    pairs: bool = False
    """Whether it holds preference pairs, and only those."""
    code: str = ""
    """Hash of the code of one's own that makes it."""

    def file(self, split: str) -> str:
        """Return the name of the file of a split."""
        return f"{split}.{self.ending}"


def messages(row: Stored) -> Iterator[dict[str, Any]]:
    """Yield the chat as TRL and axolotl take it."""
    yield {"messages": row["messages"], "id": row["id"], **row["meta"]}


def _prompt_completion(row: Stored) -> Iterator[dict[str, Any]]:
    """Yield one object for each assistant message: all before it is the prompt.

    So each is a completion once, and no user message is ever in one.
    """
    chat: list[Message] = row["messages"]
    turns: list[int] = row["meta"]["turns"]
    for number, turn in enumerate(turns):
        end = 2 + 2 * number
        yield {
            "prompt": chat[:end],
            "completion": chat[end : end + 1],
            "id": f"{row['id']}-{number + 1}",
            **row["meta"],
            "turns": [turn],
        }


def _preference(row: Stored) -> Iterator[dict[str, Any]]:
    """Yield a pair as TRL takes it, with an explicit prompt."""
    *prompt, chosen = row["messages"]
    rejected = {"role": "assistant", "content": row["rejected"]}
    yield {
        "prompt": prompt,
        "chosen": [chosen],
        "rejected": [rejected],
        "id": row["id"],
        **row["meta"],
    }


def _sharegpt(row: Stored) -> Iterator[dict[str, Any]]:
    """Yield the chat as LLaMA-Factory takes it: humans on odd places, the model on even ones."""
    system, *rest = row["messages"]
    turns = [{"from": HUMAN if m["role"] == "user" else GPT, "value": m["content"]} for m in rest]
    yield {"conversations": turns, "system": system["content"]}


FORMATS = {
    "messages": Format("chats for TRL and axolotl", "jsonl", messages),
    "prompt-completion": Format(
        "for TRL, one object for each act or answer", "jsonl", _prompt_completion
    ),
    "preference": Format("pairs of drafts for TRL's DPO", "jsonl", _preference, pairs=True),
    "sharegpt": Format("for LLaMA-Factory, with dataset_info.json", "json", _sharegpt),
    "parquet": Format("chats and metadata as columns", "parquet", messages),
}


_OWN_ENDINGS = ("jsonl", "json")
"""Endings of formats of one's own."""


def load_format(name: str) -> Format:
    """Return a format by its shipped name, one that was registered, or an import path.

    Raises UserError for an unknown name, with the known ones, and for what is not a format.
    """
    if name in FORMATS:
        return FORMATS[name]
    found = resolve("export format", name, dict.fromkeys(FORMATS, ""))
    facts: dict[str, Any] = {"ending": "jsonl", "about": "", "pairs": False, **facts_of(found)}
    if not callable(found):
        raise UserError(f"export format '{name}' is not a function of a stored row")
    if facts["ending"] not in _OWN_ENDINGS:
        raise UserError(
            f"export format '{name}': unknown ending '{facts['ending']}'; known: "
            f"{', '.join(_OWN_ENDINGS)}"
        )
    about = " ".join(facts["about"].split()) or "made by a function of one's own"

    def objects(row: Stored) -> Iterator[dict[str, Any]]:
        made = found(row)
        alone = isinstance(made, dict) or not isinstance(made, Iterable)
        for one in [made] if alone else made:
            if not _fits(one):
                raise UserError(
                    f"export format '{name}' gave {one!r:.60} for row {row['id']}; give mappings "
                    "that JSON can hold"
                )
            yield one

    return Format(about, facts["ending"], objects, facts["pairs"], _code_hash(found))


def _fits(one: Any) -> bool:
    """Return whether JSON in UTF-8 can hold an object."""
    with suppress(TypeError, ValueError, RecursionError):
        json.dumps(one, ensure_ascii=False, allow_nan=False).encode()
        return isinstance(one, dict)
    return False


def _code_hash(found: Any) -> str:
    """Return the hash of the module that holds a function, of the function alone in a notebook."""
    for part in (inspect.getmodule(found), found):
        with suppress(OSError, TypeError):
            return short_hash(inspect.getsource(part))  # type: ignore[arg-type]
    return ""


def write_files(format_: Format, read: Callable[[str], Iterable[Stored]], folder: Path) -> None:
    """Write the rows of each split that has some; `read` gives those of a split in order."""
    written = []
    for split in SPLITS:
        objects = (one for row in read(split) for one in format_.objects(row))
        if _WRITERS[format_.ending](objects, folder / format_.file(split)):
            written.append(split)
    if format_.objects is _sharegpt:
        info = {f"folkways_{split}": _description(format_.file(split)) for split in written}
        text = json.dumps(info, indent=2) + "\n"
        (folder / DATASET_INFO).write_text(text, encoding="utf-8")


def _description(file: str) -> dict[str, Any]:
    """Return what LLaMA-Factory has to know of a file."""
    return {
        "file_name": file,
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "system": "system"},
        "tags": {
            "role_tag": "from",
            "content_tag": "value",
            "user_tag": HUMAN,
            "assistant_tag": GPT,
        },
    }


def _write_lines(objects: Iterator[dict[str, Any]], path: Path) -> int:
    """Write one object a line; no objects, no file."""
    return _write(objects, path, "", "\n", "\n")


def _write_list(objects: Iterator[dict[str, Any]], path: Path) -> int:
    """Write a JSON list, one object a line."""
    return _write(objects, path, "[\n", ",\n", "\n]\n")


def _write(
    objects: Iterator[dict[str, Any]], path: Path, start: str, between: str, end: str
) -> int:
    first = next(objects, None)
    if first is None:
        return 0
    count = 1
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(start + _dump(first))
        for count, one in enumerate(objects, start=2):  # noqa: B007
            stream.write(between + _dump(one))
        stream.write(end)
    return count


def _write_parquet(objects: Iterator[dict[str, Any]], path: Path) -> int:
    """Write a table with the columns messages, id and one for each piece of metadata."""
    import duckdb

    lines = path.with_suffix(".jsonl")
    count = _write_lines(objects, lines)
    if not count:
        return 0
    message = {"messages": "struct(role varchar, content varchar)[]", "id": "varchar"}
    with lines.open("rb") as stream:
        longest = max(map(len, stream))
    with duckdb.connect() as con:
        con.execute("set temp_directory = ?", [str(path.parent)])
        con.read_json(
            str(lines),
            format="newline_delimited",
            maximum_object_size=longest,
            columns=message | COLUMNS,
        ).write_parquet(str(path))
    lines.unlink()
    return count


_WRITERS: dict[str, Callable[[Iterator[dict[str, Any]], Path], int]] = {
    "jsonl": _write_lines,
    "json": _write_list,
    "parquet": _write_parquet,
}


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
