"""Making a corpus: rows collected, split, mixed, written, with a card, in one folder.

Invariant: the folder has the whole corpus or nothing of it, the card last.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scenarios.errors import UserError
from simulation.store import WRITE_FAULTS
from training.corpus.build import collect
from training.corpus.candidates import Candidates
from training.corpus.card import CARD, Contents, RunFacts, by_culture, render_card
from training.corpus.config import CorpusConfig
from training.corpus.formats import FORMATS, write_files
from training.corpus.ledger import Ledger
from training.corpus.length import load_length
from training.corpus.mixture import cut, mix
from training.corpus.progress import ExportProgress
from training.corpus.split import hold_out

WORK = "work"
"""Folder of what is needed only while a corpus is made."""


def export_corpus(run: Path, folder: Path, config: CorpusConfig, quiet: bool = True) -> Contents:
    """Write the corpus of a run into a folder and return what it came to.

    Raises UserError for a folder that is not empty, a run that gives no row, and a disk that is
    full; nothing is left in the folder then.
    """
    length, progress = load_length(config.tokenizer), ExportProgress(quiet)
    with made_whole(folder) as part, progress.shown():
        work = part / WORK
        work.mkdir()
        candidates = Candidates(work, config.seed)
        try:
            facts, contents = _choose(run, config, candidates, length, progress)
            progress.begin("rows written", sum(contents.ledger.kept.values()))
            write_files(
                FORMATS[config.format], lambda split: progress.counted(candidates.read(split)), part
            )
        finally:
            candidates.close()
        shutil.rmtree(work)
        card = render_card(run, folder, config, facts, contents)
        (part / CARD).write_text(card, encoding="utf-8")
    return contents


def _choose(
    run: Path, config: CorpusConfig, candidates: Candidates, length: Callable[[str], int],
    progress: ExportProgress,
) -> tuple[RunFacts, Contents]:  # fmt: skip
    """Collect the rows and choose those that are kept."""
    facts, ledger = collect(run, config, candidates, length, progress)
    candidates.drop_duplicates()
    held_out = hold_out(candidates.con, config.validation, config.seed)
    mix(candidates.con, config.weighted, config.by, config.repeat)
    if config.tokens is not None:
        cut(candidates.con, config.tokens)
    candidates.account(ledger)
    _require_splits(config, ledger)
    rows = by_culture(candidates.con)
    return facts, Contents(candidates.corpus_hash(), ledger, held_out, rows)


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
def made_whole(folder: Path) -> Iterator[Path]:
    """Give a folder to write in; its files are in `folder` only once the block has ended well."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"'{folder}' is there and is not an empty folder; choose another name")
    fresh, part = not folder.exists(), None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".making-", dir=folder))
        yield part
        for path in sorted(part.iterdir(), key=lambda path: path.name == CARD):
            path.rename(folder / path.name)
        part.rmdir()
    except BaseException as error:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        if fresh:
            with suppress(OSError):
                folder.rmdir()
        if isinstance(error, (OSError, *WRITE_FAULTS)):
            reason = str(error).splitlines()[0]
            raise UserError(
                f"cannot write '{folder}': {reason}. Nothing is left there; see that the disk has "
                "room, and export again"
            ) from error
        raise
