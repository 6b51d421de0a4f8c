"""The stages of experiments, each of which goes on where it stopped.

Invariant: stages run one after the other, each in a process of its own, so that no engine's memory
outlives it; what is done is not done again.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from eval.config import EvalConfig
from training.experiment.config import ClcaExperiment
from training.experiment.experiment import ExperimentSettings
from training.experiment.spa_config import SpaExperiment

Say = Callable[[str], None]
Stage = Callable[[Any, Say, bool], str]
"""Does its work for an experiment, quietly or not, and returns why it ended: done, drained or a
spent budget."""
_DONE = "done"


def simulate(config: ClcaExperiment, say: Say, quiet: bool) -> str:
    """Play the scenes, judge them and label them; or find them in another run."""
    from simulation.plan import make_plan
    from simulation.run import launch
    from simulation.store.writer import Store

    if config.scenes != config.folder:
        config.run_config()
        config.folder.mkdir(parents=True, exist_ok=True)
        Store(config.folder).create()
        return _DONE
    return launch(make_plan(config.run_config()), limit=None, fresh=False, quiet=quiet)


def texts(config: ClcaExperiment, say: Say, quiet: bool) -> str:
    """Have plain texts written, as many tokens as the main corpora have."""
    from training.experiment.arm import PLAIN
    from training.experiment.corpora import main_tokens
    from training.experiment.plain_text import write_texts

    if PLAIN not in config.chosen_arms:
        return _DONE
    return write_texts(config, main_tokens(config), quiet)


def corpora(config: ClcaExperiment, say: Say, quiet: bool) -> str:
    """Export the corpora of all arms."""
    from training.experiment.corpora import make_corpora

    make_corpora(config, say)
    return _DONE


def generate(config: SpaExperiment, say: Say, quiet: bool) -> str:
    """Have the questions written."""
    from training.culturespa.generate import generate as write_questions

    return write_questions(config.spa_config(), quiet=quiet)


def collect(config: SpaExperiment, say: Say, quiet: bool) -> str:
    """Have them answered, without a culture and for each."""
    from training.culturespa.collect import collect as ask_questions

    return ask_questions(config.spa_config(), quiet=quiet)


def select(config: SpaExperiment, say: Say, quiet: bool) -> str:
    """Select the answers to train on, for all arms."""
    from training.experiment.spa_corpora import make_spa_corpora

    make_spa_corpora(config, say)
    return _DONE


def train(config: ExperimentSettings, say: Say, quiet: bool) -> str:
    """Train the adapters."""
    from training.experiment.adapters import train_adapters
    from training.experiment.corpus_folders import read_corpora

    return train_adapters(config, read_corpora(config.folder), quiet)


def evaluate(config: ExperimentSettings, say: Say, quiet: bool) -> str:
    """Ask base model and adapters the survey, in the store of the experiment."""
    from eval.evaluate import conduct, find_people, settle_survey
    from eval.survey.condition import Planner
    from simulation.store.run_lock import locked
    from simulation.store.writer import Store

    asked = _asked_models(config)
    run = config.folder
    with locked(run):
        settle_survey(run, asked)
        return conduct(Planner(asked, find_people(asked, run)), Store(run), quiet=quiet)


def abilities(config: SpaExperiment, say: Say, quiet: bool) -> str:
    """Measure general abilities before and after."""
    from training.experiment.spa_report import measure

    measure(config, say)
    return _DONE


def report(config: ClcaExperiment, say: Say, quiet: bool) -> str:
    """Write the report."""
    from folkways.clock import utc_now
    from training.experiment.clca_report import sections
    from training.experiment.report import write_study

    for path in write_study(config, _asked_models(config), utc_now(), sections):
        say(str(path))
    return _DONE


def spa_report(config: SpaExperiment, say: Say, quiet: bool) -> str:
    """Write the report."""
    from folkways.clock import utc_now
    from training.experiment.report import write_study
    from training.experiment.spa_report import sections

    for path in write_study(config, _asked_models(config), utc_now(), sections):
        say(str(path))
    return _DONE


STAGES: dict[str, Stage] = {
    "simulate": simulate,
    "texts": texts,
    "corpora": corpora,
    "train": train,
    "evaluate": evaluate,
    "report": report,
}
"""Of a CLCA experiment, in their order."""
SPA_STAGES: dict[str, Stage] = {
    "generate": generate,
    "collect": collect,
    "select": select,
    "train": train,
    "evaluate": evaluate,
    "abilities": abilities,
    "report": spa_report,
}
"""Of a CultureSPA experiment, in their order."""


def _asked_models(config: ExperimentSettings) -> EvalConfig:
    """Return the configuration of the evaluation with all models that are trained."""
    from training.experiment.adapters import trained
    from training.experiment.corpus_folders import read_corpora
    from training.experiment.roster import roster

    return config.eval_config(roster(config, trained(config, read_corpora(config.folder))))


def run_stages(command: Sequence[str], stages: Sequence[str], say: Say) -> int:
    """Run stages as commands of their own; return 0, or the exit code of the one that ended
    otherwise.

    `command` is `clca CONFIG ...`, without the stage, which `--only` names.
    """
    for stage in stages:
        say(f"{stage}:")
        program = [sys.executable, "-P", "-m", "folkways", "experiment", *command]
        code = _wait(subprocess.Popen([*program, "--only", stage]))
        if code:
            say(f"the stage {stage} did not end; the same command goes on there")
            return code
    return 0


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Return the exit code of a command; Ctrl-C reaches it too, and is answered there."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue
