"""Fits the adapters of a configuration, one after the other, and goes on where a launch ended.

Invariant: one process writes a folder; an adapter is whole once its results.json is there, and a
whole one is never trained again.

On one GPU or none: `folkways train CONFIG.yaml`. On several, one process each, by either of

    accelerate launch --num_processes 4 -m folkways.cli.train CONFIG.yaml
    torchrun --nproc-per-node 4 -m folkways.cli.train CONFIG.yaml

with the same options as `folkways train`; `optimisation.batch` counts for each process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from agents.models.local.transformers import PATIENT_THREADS
from agents.models.weights import require_packages
from folkways.errors import UserError
from folkways.files import write_whole
from simulation.store.run_lock import locked
from training.finetune.base import (
    Base,
    Precision,
    find_base,
    find_device,
    find_precision,
    load_base,
)
from training.finetune.checkpoint import (
    RESULTS,
    could_not_write,
    last_whole,
    remove_unfinished,
    settle_record,
    step_of,
)
from training.finetune.config import TrainConfig, preset_note, shaping
from training.finetune.memory import require_memory
from training.finetune.progress import FitProgress
from training.finetune.result import TrainingMetadata, write_result
from training.finetune.rows import Corpus, TrainingJob, plan_jobs, read_corpus
from training.finetune.tokenise import Example, Tally, TrainingForm, encode_rows, find_form
from training.finetune.trainer import Examples, build_trainer, sft_config, trained_by_kind
from training.finetune.watch import Watch, as_callback

_FAINT = 0.25
"""A scaling alpha/r below this is worth a line."""

Ending = Literal["trained", "already trained", "interrupted"]


class Outcome(NamedTuple):
    """What became of one adapter."""

    folder: Path
    ending: Ending


@dataclass(frozen=True, slots=True)
class _Setting:
    """What all adapters of a launch have in common."""

    config: TrainConfig
    base: Base
    corpus: Corpus
    form: TrainingForm
    device: str
    precision: Precision
    rank: int
    processes: int
    quiet: bool

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.processes > 1:
            from accelerate import PartialState

            PartialState(cpu=self.device == "cpu").wait_for_everyone()


def train(config: TrainConfig, *, fresh: bool = False, quiet: bool = False) -> list[Outcome]:
    """Train the adapters that a configuration asks for; the last may be interrupted.

    Raises UserError where the corpus, the model or the machine will not do, where a folder was
    trained with another configuration, and where the training fails in a way the user can mend.
    """
    require_packages("torch", "transformers", "peft", "trl", "matplotlib", extra="train")
    for key, value in PATIENT_THREADS.items():
        os.environ.setdefault(key, value)
    setting = _prepare(config, quiet)
    jobs, notes = plan_jobs(config, setting.corpus)
    for note in [*notes, *_notes(setting)]:
        FitProgress(quiet or not setting.writes, "").note(note)
    outcomes = []
    for job in jobs:
        outcomes.append(_fit(setting, job, fresh))
        if outcomes[-1].ending == "interrupted":
            break
    return outcomes


def _fit(setting: _Setting, job: TrainingJob, fresh: bool = False) -> Outcome:
    """Train one adapter, or go on with it."""
    config = setting.config
    folder = Path(config.out) / config.name / job.name
    progress = FitProgress(setting.quiet or not setting.writes, job.name)
    longest = config.optimisation.max_length
    train, tally = encode_rows(setting.form, job.train, longest)
    validation: list[Example] = []
    if config.validate_rows:
        validation, _ = encode_rows(setting.form, job.validation, longest)
    if not train:
        raise UserError(f"{job.name}: no row is left to learn from: {_words(tally)}")
    if config.checkpoint == "best" and not validation:
        raise UserError(
            f"{job.name}: checkpoint: best goes by validation rows, and there are none; export the "
            "corpus with --validation 0.1 --hold-out scenarios, and leave validate_rows on"
        )
    record = _record(setting, job)
    with _claimed(setting, folder, record, fresh, progress):
        if (folder / RESULTS).is_file():
            progress.note(f"{folder} is trained already")
            return Outcome(folder, "already trained")
        progress.note(f"{job.name}: {_words(tally)}")
        memory = require_memory(
            config, setting.base, setting.precision, setting.device, tally.longest
        )
        progress.note(f"{job.name}: memory {memory}")
        facts = TrainingMetadata(
            job,
            config,
            setting.base,
            setting.corpus,
            setting.precision,
            tally,
            len(validation),
            setting.processes,
        )
        with _clear_errors(folder, memory, setting.writes):
            whole = _run(setting, facts, folder, Examples(train, validation), progress)
    return Outcome(folder, "trained" if whole else "interrupted")


def _prepare(config: TrainConfig, quiet: bool) -> _Setting:
    """Look at everything that can be wrong, the cheapest first."""
    from agents.models.local.chat_form import ChatForm
    from agents.models.local.tokens import load_tokenizer

    corpus = read_corpus(Path(config.corpus))
    plan_jobs(config, corpus)
    device = find_device()
    precision = find_precision(config.optimisation, device)
    base = find_base(config.model)
    rank, processes = (
        int(os.environ.get(key, one)) for key, one in (("RANK", "0"), ("WORLD_SIZE", "1"))
    )
    form = find_form(ChatForm(load_tokenizer(base.folder), config.template), config.model)
    return _Setting(config, base, corpus, form, device, precision, rank, processes, quiet)


def _notes(setting: _Setting) -> list[str]:
    config = setting.config
    notes = [f"preset {config.preset}: {preset_note(config.preset)}"]
    if config.lora.scaling < _FAINT:
        notes.append(
            f"the scaling alpha/r is {config.lora.scaling:g}: such an adapter hardly moves a model"
        )
    if setting.form.chats.folds:
        notes.append(
            f"the chat template of '{config.model}' has no place for a system message before the "
            "chat; its content goes in front of the first user message"
        )
    if setting.form.divides:
        notes.append(
            f"the chat template of '{config.model}' renders the beginning of a chat differently "
            "once it goes on; each of the assistant's turns is learned after its own prompt, which "
            "takes more tokens"
        )
    return notes


def _record(setting: _Setting, job: TrainingJob) -> dict[str, Any]:
    """Return what shapes an adapter."""
    return shaping(setting.config) | {
        "adapter": job.name,
        "cultures": list(job.cultures),
        "corpus_hash": setting.corpus.hash,
        "base": setting.base.fingerprint,
        "precision": setting.precision.words,
        "processes": setting.processes,
    }


@contextmanager
def _claimed(
    setting: _Setting, folder: Path, record: dict[str, Any], fresh: bool, progress: FitProgress
) -> Iterator[None]:
    """Hold an adapter's folder, made ready for a launch; the other processes wait for that."""
    if setting.writes:
        if fresh and folder.exists():
            from simulation.run import set_aside

            progress.note(f"the old folder is now {set_aside(folder)}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make '{folder}': {error.strerror}") from error
    with locked(folder) if setting.writes else nullcontext():
        if setting.writes:
            settle_record(folder, record)
            text = yaml.safe_dump(setting.config.model_dump(mode="json"), sort_keys=False)
            write_whole(folder, folder / "config.yaml", text)
            for note in remove_unfinished(folder):
                progress.note(note)
        setting.wait()
        yield
        setting.wait()


def _run(
    setting: _Setting,
    facts: TrainingMetadata,
    folder: Path,
    examples: Examples,
    progress: FitProgress,
) -> bool:
    """Train from the last whole checkpoint on; return whether the adapter is whole now."""
    from transformers import set_seed

    last = last_whole(folder)
    watch = Watch(folder, progress, setting.writes)
    watch.begin(step_of(last) if last else 0)
    with progress.shown(), watch.listening():
        set_seed(setting.config.seed)
        model = load_base(setting.base, setting.precision)
        arguments = sft_config(
            setting.config,
            folder,
            setting.device,
            setting.precision,
            bool(examples.validation),
            last is None,
        )
        tokenizer, callback = setting.form.chats.tokenizer, as_callback(watch)
        trainer = build_trainer(model, tokenizer, arguments, setting.config, examples, callback)
        trained = trained_by_kind(trainer.model)
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in trained.items())
        name = facts.job.name
        progress.note(f"{name}: {sum(trained.values()):,} parameters are trained: {kinds}")
        if last:
            progress.note(f"{name}: going on from {last}")
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        if trainer.state.global_step < trainer.state.max_steps:
            return False
        if examples.validation and watch.scored != trainer.state.global_step:
            trainer.evaluate()
        write_result(trainer, facts, folder, trained, setting.writes)
    return True


@contextmanager
def _clear_errors(folder: Path, memory: str, writes: bool) -> Iterator[None]:
    """Turn a full disk and full memory into one line each."""
    import torch

    try:
        yield
    except Exception as error:
        if could_not_write(error):
            if writes:
                remove_unfinished(folder)
            last = last_whole(folder)
            kept = f"the checkpoint of step {step_of(last)} is whole" if last else "none was kept"
            raise UserError(
                f"{folder} cannot be written ({error}); {kept}: free some space and run the same "
                "command again"
            ) from error
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise UserError(
                f"the memory is full, though {memory} had been estimated; set "
                "optimisation.gradient_checkpointing, or lower optimisation.batch or max_length"
            ) from error
        raise


def _words(tally: Tally) -> str:
    """Return the counts of rows as one line."""
    counts = asdict(tally)
    text = "{kept} of {rows} rows, {tokens:,} tokens, {learned:,} of them learned".format(**counts)
    if tally.cut_rows:
        text += f"; {tally.cut_rows} rows were cut by {tally.cut_turns} turns to fit max_length"
    if tally.too_long:
        text += f"; {tally.too_long} rows were dropped: their first turn ends beyond max_length"
    if tally.control:
        text += f"; {tally.control} rows were dropped: they hold a control token of the model"
    return text
