"""The rows of a corpus folder in the format `messages`, and which adapter learns from which.

Invariant: a row is taken whole or the corpus is refused with the line at fault; nothing is filled
in.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from agents.models.base import Message
from folkways.errors import UserError
from folkways.files import parse_yaml, read_bytes
from folkways.text import sound
from training.finetune.config import TrainConfig

TRAIN, VALIDATION = "train.jsonl", "validation.jsonl"
JOINT = "joint"
"""Name of the adapter that learns from all cultures."""
_LONGEST = 32 * 2**20
"""Bytes of a row."""
_NEXT = "make one with: folkways export RUN FOLDER --format messages"


@dataclass(frozen=True, slots=True)
class ChatRow:
    """One chat to learn from."""

    id: str
    culture: str | None
    task: str | None
    messages: tuple[Message, ...]


class Corpus(NamedTuple):
    """A corpus as it lies on disk."""

    folder: Path
    hash: str
    """Of the bytes of both files, 16 hex digits."""
    card_hash: str | None
    """The hash on the corpus's own card, which counts rows and not bytes; None without a card."""
    train: tuple[ChatRow, ...]
    validation: tuple[ChatRow, ...]


class TrainingJob(NamedTuple):
    """One adapter to train."""

    name: str
    """Its folder's name: a culture, or `joint`."""
    cultures: tuple[str, ...]
    train: tuple[ChatRow, ...]
    validation: tuple[ChatRow, ...]


def read_corpus(folder: Path) -> Corpus:
    """Return a corpus. Raises UserError where the folder, its file or its rows are missing, and for
    the first line that is no row."""
    if not folder.is_dir():
        raise UserError(f"no corpus folder at {folder}; {_NEXT}")
    if not (folder / TRAIN).is_file():
        raise UserError(f"{folder} has no {TRAIN}, so it is no corpus of chats; {_NEXT}")
    digest = hashlib.sha256()
    train, validation = (_read(folder / name, digest) for name in (TRAIN, VALIDATION))
    if not train:
        raise UserError(
            f"{folder / TRAIN} has no row: nothing to learn from; see the counts of dropped rows "
            f"in {folder / 'README.md'}"
        )
    return Corpus(folder, digest.hexdigest()[:16], _card_hash(folder), train, validation)


def plan_jobs(config: TrainConfig, corpus: Corpus) -> tuple[list[TrainingJob], list[str]]:
    """Return the adapters to train, and lines on what is worth knowing about them.

    Raises UserError for a culture the corpus does not have.
    """
    found = Counter(row.culture for row in corpus.train if row.culture)
    cultures = config.cultures or tuple(sorted(found))
    for culture in cultures:
        if culture not in found:
            has = ", ".join(f"{name} ({count})" for name, count in sorted(found.items()))
            raise UserError(
                f"{corpus.folder} has no row of the culture '{culture}'; it has {has or 'none'}"
            )
        if not re.fullmatch(r"[A-Za-z0-9_-]+", culture):
            raise UserError(f"{corpus.folder}: the culture {culture!r} cannot name a folder")
    notes = []
    jobs = []
    if config.adapters != "joint":
        if not cultures:
            raise UserError(
                f"no row of {corpus.folder} says its culture_id, so there is no adapter per "
                "culture; set adapters: joint"
            )
        jobs = [_job(culture, (culture,), corpus) for culture in cultures]
    if config.adapters != "per-culture":
        if len(cultures) == 1:
            notes.append(f"the joint adapter learns from one culture only, {cultures[0]}")
        jobs.append(_job(JOINT, config.cultures, corpus, found=tuple(sorted(found))))
    return jobs, notes


def _job(
    name: str, wanted: Sequence[str], corpus: Corpus, found: tuple[str, ...] = ()
) -> TrainingJob:
    """Return the job with the rows of some cultures; of all rows where none are named."""
    train, validation = (
        tuple(row for row in rows if not wanted or row.culture in wanted)
        for rows in (corpus.train, corpus.validation)
    )
    return TrainingJob(name, tuple(wanted) or found, train, validation)


def _card_hash(folder: Path) -> str | None:
    try:
        text = read_bytes(folder / "README.md").decode()
        return str(parse_yaml(text.split("---\n", 2)[1], "README.md")["folkways"]["hash"])
    except (OSError, UnicodeDecodeError, IndexError, KeyError, TypeError, UserError):
        return None


def _read(file: Path, digest: Any) -> tuple[ChatRow, ...]:
    if not file.is_file():
        return ()
    rows = []
    with file.open("rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(_LONGEST), b""), 1):
            if len(line) == _LONGEST:
                raise UserError(f"{file}:{number}: longer than {_LONGEST:,} bytes; {_NEXT}")
            digest.update(line)
            if line.strip():
                rows.append(_row(line, f"{file}:{number}", f"{file.stem}-{number}"))
    digest.update(b"\0")
    return tuple(rows)


def _row(line: bytes, where: str, fallback: str) -> ChatRow:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not one JSON object a line: {error}; {_NEXT}") from error
    messages = data.get("messages") if isinstance(data, dict) else None
    if not isinstance(messages, list):
        raise UserError(f"{where}: the row has no list 'messages'; {_NEXT}")
    fault = _fault(messages)
    if fault:
        raise UserError(f"{where}: {fault}")
    culture, task = data.get("culture_id"), data.get("task")
    for name, value in (("culture_id", culture), ("task", task)):
        if value is not None and not isinstance(value, str):
            raise UserError(f"{where}: {name} is not text: {value!r:.60}")
    chat: tuple[Message, ...] = tuple(
        {"role": each["role"], "content": each["content"]} for each in messages
    )
    return ChatRow(str(data.get("id", fallback)), culture, task, chat)


def _fault(messages: list[Any]) -> str | None:
    """Return what is wrong with a chat, or None."""
    for place, message in enumerate(messages, 1):
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            return f"message {place} is not of the form {{role, content}}"
        if not message["content"].strip():
            return f"message {place} is empty"
        if message["content"] != sound(message["content"]):
            return f"message {place} holds NUL or half a surrogate pair, which is no text"
    roles = [message.get("role") for message in messages]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    if "assistant" not in turns:
        return "no message is the assistant's, so there is nothing to learn"
    for place, (one, other) in enumerate(zip(["", *turns], turns, strict=False)):
        if other not in ("user", "assistant") or one == other:
            return (
                f"turn {place + 1} is {other!r}; after the system message user and assistant "
                "alternate"
            )
    return None
