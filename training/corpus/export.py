"""Making a corpus: rows collected, split, mixed, written, with a card, in one folder.

Invariant: the folder has the whole corpus or nothing of it but PART, the card last.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from folkways.errors import UserError
from folkways.files import read_json, remove, write_whole
from simulation.store.run_lock import FILE as LOCK
from simulation.store.run_lock import locked
from simulation.store.writer import WRITE_FAULTS
from training.corpus.build import EPISODES, choose, collect
from training.corpus.candidates import Candidates
from training.corpus.card import CARD, Contents, by_culture, read_front_matter, render_card
from training.corpus.config import CorpusConfig
from training.corpus.formats import load_format, write_files
from training.corpus.ledger import Ledger
from training.corpus.length import load_length
from training.corpus.mixture import cut, mix
from training.corpus.progress import ExportProgress
from training.corpus.split import hold_out

WORK = "work"
"""Folder of what is needed only while a corpus is made."""
PART = ".making"
"""Folder in the folder of a corpus in which its files are made."""
MOVING = "moving.json"
"""In that one: the names of the files, while they are moved into place."""


def export_corpus(
    run: Path, folder: Path, config: CorpusConfig, quiet: bool = True, at_once: int = EPISODES
) -> Contents:
    """Write the corpus of a run into a folder, so many episodes at once, and return what it came
    to.

    Raises UserError for a folder that is not empty, a run that gives no row, and a disk that is
    full; nothing is left in the folder then. What an export that was killed has collected is taken
    up if it was made of the same, and dropped otherwise.
    """
    length, progress = load_length(config.tokenizer), ExportProgress(quiet)
    with made_whole(folder, keep=WORK) as part, progress.shown():
        work = part / WORK
        work.mkdir(exist_ok=True)
        candidates = Candidates(work, config.seed)
        try:
            facts, ledger = collect(run, config, candidates, length, progress, at_once)
            contents = _choose(config, candidates, ledger)
            progress.begin("rows written", sum(contents.ledger.kept.values()))
            format_ = load_format(config.format)
            write_files(format_, lambda split: progress.counted(candidates.read(split)), part)
        finally:
            candidates.close()
        shutil.rmtree(work)
        card = render_card(run, folder, config, facts, contents)
        (part / CARD).write_text(card, encoding="utf-8")
    return contents


def made_already(run: Path, folder: Path, config: CorpusConfig) -> str | None:
    """Return the hash of the corpus in a folder if it is whole and of this run as it is, made with
    this configuration; None otherwise."""
    if not (folder / CARD).is_file() or (folder / PART).exists():
        return None
    try:
        known = read_front_matter(folder)
    except UserError:
        return None
    files = [folder / name for name in _files(known, config)]
    if "source" not in known or not all(file.is_file() for file in files):
        return None
    same = choose(run, config, Ledger(), len).source == known["source"]
    return str(known.get("hash")) if same else None


def _files(known: Mapping[str, Any], config: CorpusConfig) -> list[str]:
    """Return the names of the files that a card speaks of; none that is there for a card of another
    format, whose name may be anybody's code."""
    rows = known.get("rows")
    if known.get("format") != config.format or not isinstance(rows, dict):
        return [""]
    return [load_format(config.format).file(split) for split in rows]


def _choose(config: CorpusConfig, candidates: Candidates, ledger: Ledger) -> Contents:
    """Choose the rows that are kept."""
    candidates.drop_duplicates()
    held_out = hold_out(candidates.con, config)
    mix(candidates.con, config.weighted, config.by, config.repeat)
    if config.tokens is not None:
        cut(candidates.con, config.tokens)
    candidates.account(ledger)
    _require_splits(config, ledger)
    rows = by_culture(candidates.con)
    return Contents(candidates.corpus_hash(), ledger, held_out, rows)


def _require_splits(config: CorpusConfig, ledger: Ledger) -> None:
    """Raise UserError where a split that is wanted has no row."""
    wanted = ["train"] + (["validation"] if config.validation else [])
    for split in wanted:
        if ledger.in_split(split):
            continue
        if split == "train" and any(reason == "tokens" for _, reason in ledger.dropped):
            raise UserError(f"no row takes as few as {config.tokens:,} tokens; ask for more")
        raise UserError(
            f"the mixture leaves no row for {split}: one of the tasks "
            f"({', '.join(config.tasks)}) has none there, or too few for its weight"
        )


@contextmanager
def made_whole(folder: Path, keep: str = "") -> Iterator[Path]:
    """Give a folder to write in; its files are in `folder` only once the block has ended well.

    What a process that was killed has left there is cleared away, but for the folder `keep` of what
    is needed only while files are made. Raises UserError where anything else is there, or where
    another process is making files.
    """
    part = folder / PART
    if not _is_free(folder):
        raise UserError(f"'{folder}' is there and is not an empty folder; choose another name")
    fresh = not folder.exists()
    try:
        part.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write '{folder}': {error.strerror}") from error
    with locked(part):
        try:
            _clear(folder, keep)
            yield part
            _move(part, folder)
            shutil.rmtree(part)
        except BaseException as error:
            shutil.rmtree(part, ignore_errors=True)
            if fresh:
                with suppress(OSError):
                    folder.rmdir()
            if isinstance(error, (OSError, *WRITE_FAULTS)):
                reason = str(error).splitlines()[0]
                raise UserError(
                    f"cannot write '{folder}': {reason}. Nothing is left there; see that the disk "
                    "has room, and export again"
                ) from error
            raise


def _is_free(folder: Path) -> bool:
    """Return whether nothing is in a folder but what a process that was killed has left."""
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    return {path.name for path in folder.iterdir()} <= {PART, *_moving(folder / PART)}


def _moving(part: Path) -> list[str]:
    """Return the names of the files that were being moved into place."""
    return read_json(part / MOVING, list[str]) if (part / MOVING).is_file() else []


def _clear(folder: Path, keep: str) -> None:
    """Take away what a process that was killed has left, before anything is made again."""
    part = folder / PART
    for name in _moving(part):
        remove(folder, folder / name)
    for path in part.iterdir():
        if path.name not in (keep, LOCK):
            remove(part, path)


def _move(part: Path, folder: Path) -> None:
    """Move files into place, the card last; their names are on disk first, so that whoever finds
    some of them knows that they are not all."""
    paths = [path for path in part.iterdir() if path.name != LOCK]
    for path in paths:
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    write_whole(part, part / MOVING, json.dumps([path.name for path in paths]))
    for path in sorted(paths, key=lambda path: path.name == CARD):
        path.rename(folder / path.name)
