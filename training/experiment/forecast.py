"""What a whole study takes, stage by stage, before anything of it is spent.

Invariant: a figure is counted from the study's own configuration, or scaled up from a pilot that is
named; nothing of it is written into the study's folder.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from agents.models.base import prompt_length
from agents.models.facts import model_facts
from agents.models.local.chat_form import ChatForm, local_form
from agents.models.local.tokens import encode_prompt, load_tokenizer
from agents.models.weights import described_folder
from eval.evaluate import find_people, questions_of
from eval.survey.condition import Condition, Planner
from eval.survey.prompt import chat
from simulation.store.writer import Store
from training.culturespa.collect import chosen_questions, make_planner
from training.experiment.adapters import trainings
from training.experiment.arm import NULL, SURVEY
from training.experiment.config import ClcaExperiment
from training.experiment.corpus_folders import CorpusFolders, Made, read_corpora
from training.experiment.experiment import ExperimentSettings
from training.experiment.pilot import Amount, Pilot
from training.experiment.roster import roster
from training.experiment.spa_config import SpaExperiment
from training.experiment.survey_rows import survey_corpus
from training.finetune.memory import GIB, gpu_bytes
from training.finetune.rows import read_corpus
from training.finetune.tokenise import encode_rows, find_form

WRITTEN = 3
"""Completion tokens of an answer: a number and the end of the turn."""
_SHEETS = 2
"""Sheets of each culture whose prompts are measured."""
_CACHES = 1.2
"""Memory of a model that answers, in that of its weights: what its caches take beside them."""
_NOTHING = Amount()


@dataclass(frozen=True, slots=True)
class StageForecast:
    """What one stage takes."""

    stage: str
    model: str
    """What works in it; empty where none does."""
    asked: Amount = _NOTHING
    steps: int = 0
    """Optimiser steps."""
    tokens: float = 0.0
    """Tokens that are trained on, each pass counted."""
    gib: float | None = None
    """Memory at its peak, on a GPU; null where it is not known, or not of this machine."""


class _Corpus(NamedTuple):
    """A corpus of the whole study in the tokens of the model that learns it."""

    examples: float
    tokens: float
    longest: int


def clca_stages(config: ClcaExperiment, pilot: Pilot) -> list[StageForecast]:
    """Return the stages of a CLCA experiment."""
    played = config.run_config().model
    player, gib = played.name, _answering(played.name, played.options)
    asked = [StageForecast(name, player, asked, gib=gib) for name, asked in pilot.spent.items()]
    most = config.corpus.tokens
    return [*asked, _training(config, pilot, most or math.inf), _evaluation(config, pilot)]


def spa_stages(config: SpaExperiment, pilot: Pilot) -> list[StageForecast]:
    """Return the stages of a CultureSPA experiment."""
    assert isinstance(pilot.config, SpaExperiment)
    writer, own = config.spa_config().model, pilot.config.spa_config()
    gib = _answering(writer.name, writer.options)
    planner = make_planner(own, chosen_questions(own, Store(pilot.config.folder)))
    most = math.inf
    if config.selecting.rows is not None:
        (main,) = (made for made in read_corpora(pilot.config.folder) if made.arm == config.main)
        most = main.tokens / main.rows * config.selecting.rows
    return [
        StageForecast("generate", writer.name, pilot.spent["generate"], gib=gib),
        StageForecast("collect", writer.name, _survey(planner).times(pilot.growth), gib=gib),
        _training(config, pilot, most),
        _evaluation(config, pilot),
    ]


def left_out(pilot: Pilot) -> list[str]:
    """Return the arms that the pilot had nothing to make of, a line each."""
    return [
        f"{made.arm}, {made.culture}: {made.reason}"
        for made in read_corpora(pilot.config.folder)
        if made.folder is None and made.arm != NULL
    ]


def _training(config: ExperimentSettings, pilot: Pilot, most: float) -> StageForecast:
    """Return the trainings on all corpora with all seeds; none has more than so many tokens."""
    corpora = read_corpora(pilot.config.folder)
    sizes = dict(_sizes(config, pilot, corpora, most))
    training = config.train_config("x", Path("x"), "joint", "")
    folder = described_folder(config.model)
    chosen, steps, tokens = training.optimisation, 0, 0.0
    for _, made in trainings(config, corpora):
        if (size := sizes.get((made.arm, made.culture))) is None:
            continue
        sequences = size.tokens / chosen.max_length if chosen.packing else size.examples
        batches = math.ceil(sequences / chosen.batch)
        a_pass = math.ceil(batches / chosen.accumulation)
        own = chosen.max_steps or math.ceil(chosen.epochs * a_pass)
        steps += own
        tokens += size.tokens * (own / a_pass if chosen.max_steps else chosen.epochs)
    longest = max((size.longest for size in sizes.values()), default=chosen.max_length)
    gib = gpu_bytes(training, folder, longest) / GIB
    return StageForecast(
        "train", f"{config.engine}:{config.model}", steps=steps, tokens=tokens, gib=gib
    )


def _sizes(
    config: ExperimentSettings, pilot: Pilot, corpora: Sequence[Made], most: float
) -> Iterator[tuple[tuple[str, str], _Corpus]]:
    """Yield the sizes of corpora in the whole study, by arm and culture."""
    folders = CorpusFolders(pilot.config)
    training = config.train_config("x", Path("x"), "joint", "")
    form = find_form(ChatForm(load_tokenizer(Path(folders.tokenizer)), config.template), "")
    main = max(made.tokens for made in corpora if made.arm == config.main)
    for each in corpora:
        if each.folder is None:
            continue
        made, growth = each, pilot.growth
        if each.arm in SURVEY:
            wanted = int(min(most, growth * main))
            made = survey_corpus(pilot.config, folders, each.arm, each.culture, wanted)
            growth = 1.0
        rows = read_corpus(pilot.config.folder / str(made.folder)).train
        examples, tally = encode_rows(form, rows, training.optimisation.max_length)
        growth = min(growth, most * config.known_arms[each.arm].share / made.tokens)
        size = _Corpus(growth * len(examples), growth * tally.tokens, tally.longest)
        yield (each.arm, each.culture), size


def _evaluation(config: ExperimentSettings, pilot: Pilot) -> StageForecast:
    """Return what base model, adapters and controls are asked."""
    corpora = read_corpora(pilot.config.folder)
    adapters = {
        (config.labels(made.arm)[number], made.culture): Path(made.arm)
        for number, made in trainings(config, corpora)
        if made.folder or made.arm == NULL
    }
    asked = config.eval_config(roster(config, adapters))
    with TemporaryDirectory() as folder:
        planner = Planner(asked, find_people(asked, Path(folder)))
    base = asked.models[0]
    return StageForecast(
        "evaluate", base.name, _survey(planner), gib=_answering(base.name, base.options)
    )


def _survey(planner: Planner) -> Amount:
    """Return what a survey asks: prompts are measured on some sheets of each way of asking."""
    lengths: dict[tuple[str, str | None, str, tuple[str, ...]], float] = {}
    total = Amount()
    for model in planner.config.models:
        for condition in planner.conditions(model):
            cultures = planner.cultures(condition)
            key = (condition.method_name, condition.style, condition.language, cultures)
            if key not in lengths:
                lengths[key] = _prompt_tokens(planner, condition)
            calls = float(sum(questions_of(planner, condition)))
            written = WRITTEN * calls if condition.readout == "text" else 0.0
            own = Amount(calls, calls * lengths[key], written)
            total = Amount(*(a + b for a, b in zip(total, own, strict=True)))
    return total


def _prompt_tokens(planner: Planner, condition: Condition) -> float:
    """Return the mean tokens of a condition's prompts."""
    form = local_form(condition.model.name, condition.model.options.get("template"))
    sheets = islice(planner.sheets(condition), _SHEETS * len(planner.config.cultures))
    prompts = [chat(sheet.system, one.text) for sheet in sheets for one in sheet.questions]
    if form is None:
        return fmean(prompt_length(prompt) / 4 for prompt in prompts)
    return fmean(len(encode_prompt(form, prompt)) for prompt in prompts)


def _answering(name: str, options: Mapping[str, Any]) -> float | None:
    """Return the GiB that a model on this machine takes to answer; null where it is elsewhere or
    its size is not known."""
    size = parameters(name)
    if size is None or name.partition(":")[0] not in ("embedded", "hf", "vllm"):
        return None
    width = 4.0 if options.get("dtype") == "float32" else 2.0
    width = 0.56 if options.get("load_in_4bit") or options.get("quantization") else width
    return _CACHES * size * width / GIB + 1


def parameters(name: str) -> int | None:
    """Return how many parameters a model has; null where that is not known."""
    return model_facts(name).parameters
