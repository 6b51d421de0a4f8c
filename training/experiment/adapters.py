"""The adapters of an experiment: one for each corpus, trained one after the other.

Invariant: an adapter's folder is named by its corpus and settings; what was trained once is not
trained again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from folkways.clock import utc_now
from folkways.files import read_bytes, read_json
from folkways.provenance import short_hash
from simulation.store.writer import Store
from training.experiment.arm import JOINT, NULL
from training.experiment.corpus_folders import Made
from training.experiment.experiment import ExperimentSettings
from training.finetune.checkpoint import RESULTS
from training.finetune.config import TrainConfig, shaping


@dataclass(frozen=True, slots=True)
class _Rows:
    kept: int
    tokens: int
    learned: int
    cut_rows: int


@dataclass(frozen=True, slots=True)
class _Base:
    fingerprint: str


@dataclass(frozen=True, slots=True)
class _Results:
    """What is taken from an adapter's results.json."""

    base: _Base
    corpus_hash: str
    rows: _Rows
    steps: int
    loss_first: float
    loss_last: float
    tokens_per_second: float | None
    seconds: float


Adapters = Mapping[tuple[str, str], Path]
"""Folders by arm and culture; by what the training is called where an arm has several."""


def _training_of(config: ExperimentSettings, made: Made, number: int) -> TrainConfig:
    """Return the configuration of the training on a corpus with one of the seeds."""
    joint = "joint" if made.culture == JOINT else "per-culture"
    corpus = config.folder / str(made.folder)
    first = config.train_config("x", corpus, joint, made.culture, number)
    mark = short_hash(json.dumps([made.folder, shaping(first)]))[:8]
    return first.model_copy(update={"name": f"{made.arm}-{mark}"})


def adapter_folder(config: ExperimentSettings, made: Made, number: int = 0) -> Path:
    """Return the folder of the adapter that learns from a corpus with the seed of that number,
    whether or not it is trained."""
    training = _training_of(config, made, number)
    return Path(training.out) / training.name / made.culture


def train_adapters(config: ExperimentSettings, corpora: Sequence[Made], quiet: bool) -> str:
    """Train what is missing; return done or drained."""
    from training.finetune.result import write_null
    from training.finetune.train import train

    for number, made in trainings(config, corpora):
        folder = adapter_folder(config, made, number)
        if made.arm == NULL:
            write_null(_training_of(config, made, number), folder)
        if made.folder is None:
            continue
        if not (folder / RESULTS).is_file():
            outcomes = train(_training_of(config, made, number), quiet=quiet)
            if any(outcome.ending == "interrupted" for outcome in outcomes):
                return "drained"
        _note(config, made, folder, utc_now())
    return "done"


def trainings(config: ExperimentSettings, corpora: Sequence[Made]) -> Iterator[tuple[int, Made]]:
    """Yield what is trained, all arms with one seed before any with the next."""
    for number in range(max(1, len(config.seeds))):
        for made in corpora:
            if number < len(config.labels(made.arm)):
                yield number, made


def trained(config: ExperimentSettings, corpora: Sequence[Made]) -> Adapters:
    """Return the adapters that are trained."""
    folders = {
        (config.labels(made.arm)[number], made.culture): adapter_folder(config, made, number)
        for number, made in trainings(config, corpora)
        if made.folder or made.arm == NULL
    }
    return {key: folder for key, folder in folders.items() if (folder / RESULTS).is_file()}


def _note(config: ExperimentSettings, made: Made, folder: Path, now: datetime) -> None:
    """Add an adapter to the store, unless it is there."""
    name = str(folder.relative_to(config.folder))
    store = Store(config.folder)
    with store.reading() as con:
        if con.execute("select 1 from adapters where adapter = ?", [name]).fetchone():
            return
    found = read_json(folder / RESULTS, _Results)
    settings = read_bytes(folder / "config.yaml").decode(errors="replace")
    store.add("adapters", {
        "adapter": name, "arm": made.arm, "culture": made.culture,
        "base": found.base.fingerprint, "corpus": made.folder,
        "corpus_hash": found.corpus_hash, "rows": found.rows.kept, "tokens": found.rows.tokens,
        "learned_tokens": found.rows.learned, "cut_rows": found.rows.cut_rows,
        "steps": found.steps, "loss_first": found.loss_first, "loss_last": found.loss_last,
        "tokens_per_second": found.tokens_per_second, "seconds": found.seconds,
        "settings": json.dumps(settings), "made_at": now,
    })  # fmt: skip
