"""The folders of an experiment's corpora, each named by what it is made of, and their list.

Invariant: another setting makes another folder, so that what is there is never stale; an arm that
cannot be made is listed with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agents.models.base import Message
from agents.models.weights import described_folder
from folkways.errors import UserError
from folkways.files import inside, read_json, remove, write_whole
from folkways.provenance import short_hash
from training.corpus.export import made_whole
from training.corpus.length import load_length
from training.experiment.experiment import CORPORA, ExperimentSettings
from training.finetune.rows import TRAIN

LIST = "corpora.json"
"""File that lists them, in the folder of the experiment."""
_SIZE = "size.json"
"""File of a corpus that keeps its number of rows and tokens, written last."""
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Made:
    """The corpus of an arm and a culture, or why there is none."""

    arm: str
    culture: str
    folder: str | None
    """From the folder of the experiment."""
    rows: int = 0
    tokens: int = 0
    """Of the rows' messages, by the model's own tokenizer."""
    reason: str | None = None
    """Why there is none."""

    @classmethod
    def nothing(cls, arm: str, culture: str) -> Made:
        """Return the entry of an arm whose adapter learns from no corpus."""
        return cls(arm, culture, None, reason="nothing is learned")


@dataclass(frozen=True, slots=True)
class _Size:
    """What SIZE holds."""

    rows: int
    tokens: int


class CorpusFolders:
    """Keeps corpora, each made once."""

    def __init__(self, config: ExperimentSettings) -> None:
        self.home = config.folder
        self.tokenizer = str(described_folder(config.model))
        self.length = load_length(self.tokenizer)

    def keep(
        self, arm: str, culture: str, made_of: Sequence[Any], make: Callable[[Path], object]
    ) -> Made:
        """Return the corpus made of something; `make` fills its folder if it is not there."""
        mark = short_hash(json.dumps(made_of, ensure_ascii=False))[:8]
        folder = self.home / CORPORA / f"{arm}-{culture}-{mark}"
        if not (folder / _SIZE).is_file():
            remove(self.home, folder)  # a launch ended before its size was noted
            make(folder)
            rows = list(read_rows(folder))
            size = {"rows": len(rows), "tokens": sum(map(self.tokens, rows))}
            write_whole(self.home, folder / _SIZE, json.dumps(size))
        kept = read_json(folder / _SIZE, _Size)
        return Made(arm, culture, str(folder.relative_to(self.home)), kept.rows, kept.tokens)

    def tokens(self, row: Row) -> int:
        """Return the tokens of a row's messages."""
        return sum(self.length(message["content"]) for message in row["messages"])

    def cut(self, rows: Iterable[Row], tokens: int, *, fewer: bool = False) -> list[Row]:
        """Return rows from the start, as many as take at most so many tokens.

        Raises UserError where the first takes more, and where all of them take fewer unless that
        will do.
        """
        kept: list[Row] = []
        taken = 0
        for row in rows:
            taken += self.tokens(row)
            if taken > tokens:
                break
            kept.append(row)
        if taken < tokens and not fewer:
            raise UserError(f"there are {taken:,} tokens, fewer than the {tokens:,} needed")
        if not kept:
            raise UserError(f"no row is as short as {tokens:,} tokens")
        return kept


def chat_row(task: str, culture: str, number: int, messages: Sequence[Message]) -> dict[str, Any]:
    """Return the row of a chat that no scene and no selection is the source of."""
    return {
        "messages": messages,
        "id": short_hash(json.dumps([task, messages], ensure_ascii=False)),
        "task": task,
        "culture_id": culture,
        "number": number,
    }


def read_rows(folder: Path) -> Iterator[Row]:
    """Yield the rows of a corpus."""
    with (folder / TRAIN).open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def write_rows(folder: Path, rows: Iterable[Row]) -> None:
    """Write a corpus of rows."""
    with made_whole(folder) as part, (part / TRAIN).open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def list_corpora(
    config: ExperimentSettings, made: list[Made], say: Callable[[str], None]
) -> list[Made]:
    """Say and write what was made, and return it.

    Raises UserError where the main arm could not be made.
    """
    for each in made:
        what = f"{each.rows:,} rows, {each.tokens:,} tokens" if each.folder else each.reason
        say(f"{each.arm}, {each.culture}: {what}")
        if each.arm == config.main and each.folder is None:
            raise UserError(f"{each.culture}: there is nothing to train on: {each.reason}")
    text = json.dumps([asdict(each) for each in made], indent=1) + "\n"
    write_whole(config.folder, config.folder / LIST, text)
    return made


def read_corpora(folder: Path) -> list[Made]:
    """Return the corpora in the folder of an experiment. Raises UserError where there are none."""
    try:
        made = read_json(folder / LIST, list[Made])
    except FileNotFoundError as error:
        raise UserError(f"{folder} has no corpora yet; run the stage corpora") from error
    for each in made:
        if each.folder is not None:
            inside(folder, folder / each.folder)
    return made
