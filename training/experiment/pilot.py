"""A pilot: the first pieces of a study, from which the forecast of the whole is scaled up.

Invariant: a pilot lives in a folder of its own that is removed afterwards; the study's folder is
read and never written.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

from folkways.errors import UserError
from simulation.store.reader import open_reader
from simulation.store.snapshot import snapshot
from simulation.store.writer import FILE
from training.experiment.config import ClcaExperiment
from training.experiment.experiment import ExperimentSettings
from training.experiment.spa_config import SpaExperiment
from training.experiment.stages import SPA_STAGES, STAGES, Stage

REHEARSED = 24
"""Scenes that the fake model plays where nothing is known of the model that will."""
_WRITTEN = 12
"""Questions on each topic that it writes."""
_WAIT_S = 10.0
_SPENT = """
select count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0) from {}
"""
_TABLES = {"simulate": "calls", "texts": "control_texts", "generate": "spa_attempts"}
T = TypeVar("T", bound=ExperimentSettings)


class Amount(NamedTuple):
    """What a model is asked."""

    calls: float = 0.0
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0

    def times(self, *factors: float) -> Amount:
        """Return it scaled, by one factor or by one for each of its parts."""
        each = factors * 3 if len(factors) == 1 else factors
        return Amount(*(part * factor for part, factor in zip(self, each, strict=True)))


@dataclass(frozen=True, slots=True)
class Pilot:
    """What a pilot tells of a study."""

    config: ExperimentSettings
    """The study in the folder of the pilot, with whatever corpora it gave."""
    about: str
    """Where its figures come from."""
    spent: Mapping[str, Amount]
    """By stage, scaled up to the whole study."""
    growth: float
    """By how much its corpora are smaller than the study's."""


@contextmanager
def clca_pilot(config: ClcaExperiment, scenes: int | None) -> Iterator[Pilot]:
    """Give the pilot of a CLCA experiment: `scenes` played by its own models; where null what its
    store holds, or else a rehearsal by the fake model."""
    from simulation.forecast import forecast
    from simulation.plan import make_plan
    from simulation.run import launch

    corpus = config.corpus.model_copy(update={"tokens": None})
    with _folder(config.model_copy(update={"corpus": corpus})) as small:
        if config.scenes != config.folder:
            _do(small, STAGES, ("simulate", "corpora"))
            yield Pilot(small, f"the scenes of {config.scenes}", {}, 1.0)
            return
        if scenes is None and _copied(config, small, "episodes"):
            about = "the scenes that are played already"
        else:
            if scenes is None:
                small = small.model_copy(update={"simulation": _by_fake(config)})
            plan = make_plan(small.run_config())
            wanted = scenes or REHEARSED
            chosen = _spread(plan.scenarios, -(-wanted // len(config.cultures)))
            launch(replace(plan, scenarios=chosen), limit=wanted, fresh=False, quiet=True)
            who = "the fake model" if scenes is None else "the study's own models"
            about = f"{min(wanted, len(plan)):,} scenes that {who} played"
        _do(small, STAGES, ("texts", "corpora"))
        with closing(open_reader(small.folder)) as con:
            stored = {hash_ for (hash_,) in con.execute(_PLAYED).fetchall()}
        whole = forecast(make_plan(config.run_config()), None)
        done = forecast(make_plan(small.run_config()), None, stored)
        parts = [of_all / of_it for of_all, of_it in zip(whole[1:], done[1:], strict=True)]
        growth = whole.episodes / done.episodes
        spent = {
            "simulate": _spent(small, "simulate").times(*parts),
            "texts": _spent(small, "texts").times(growth),
        }
        yield Pilot(small, about, spent, growth)


_PLAYED = "select distinct content_hash from episodes"


@contextmanager
def spa_pilot(config: SpaExperiment, questions: int | None) -> Iterator[Pilot]:
    """Give the pilot of a CultureSPA experiment: `questions` on each topic by its own model; where
    null what its store holds, or else questions and answers of the fake model."""
    wanted = config.spa_config().per_topic
    selecting = config.selecting.model_copy(update={"rows": None})
    with _folder(config.model_copy(update={"selecting": selecting})) as small:
        if questions is None and _copied(config, small, "spa_questions"):
            about, each = "the questions that are written already", _written(small)
        else:
            each = float(min(questions or _WRITTEN, wanted))
            given = config.spa | {"per_topic": int(each)}
            given |= {"model": {"name": "fake"}} if questions is None else {}
            small = small.model_copy(update={"spa": given})
            _do(small, SPA_STAGES, ("generate",))
            who = "the fake model" if questions is None else "the study's own model"
            about = f"{each:.0f} questions on each topic by {who}"
        _do(small, SPA_STAGES, ("collect", "select"))
        growth = wanted / each
        yield Pilot(small, about, {"generate": _spent(small, "generate").times(growth)}, growth)


@contextmanager
def _folder(config: T) -> Iterator[T]:
    """Give the study in a folder that is removed afterwards."""
    with TemporaryDirectory(prefix="folkways-pilot-", ignore_cleanup_errors=True) as folder:
        yield config.model_copy(update={"out": folder})


def _copied(config: ExperimentSettings, small: ExperimentSettings, table: str) -> bool:
    """Return whether the study's own store has something in a table, and was copied."""
    if not (config.folder / FILE).is_file():
        return False
    small.folder.mkdir(parents=True)
    with snapshot(config.folder / FILE, _WAIT_S) as copy:
        shutil.copy(copy, small.folder / FILE)
    with closing(open_reader(small.folder)) as con:
        found = con.execute(f"select count(*) from {table}").fetchall()[0][0]
    if not found:
        shutil.rmtree(small.folder)
    return bool(found)


def _by_fake(config: ClcaExperiment) -> dict[str, Any]:
    """Return the simulation as the fake model plays, judges and labels it, in the reply form of the
    model that will."""
    run = config.run_config()
    given = dict(config.simulation)
    for name in ("models", "seats", "rotate", "in_loop"):
        given.pop(name, None)
    given["model"] = {"name": "fake", "reply_form": run.model.settled_form()}
    for part, key, none in (("critique", "models", ()), ("label", "model", None)):
        if (found := getattr(run, part)) is not None:
            given[part] = found.model_dump() | {key: none, "options": {}}
    return given


def _spread(all_of_them: Sequence[Any], count: int) -> tuple[Any, ...]:
    """Return some of a sequence, at equal distances."""
    count = min(count, len(all_of_them))
    return tuple(all_of_them[place * len(all_of_them) // count] for place in range(count))


def _do(config: ExperimentSettings, stages: Mapping[str, Stage], names: Sequence[str]) -> None:
    """Do some stages of the pilot. Raises UserError where there is too little to learn from."""
    for name in names:
        try:
            reason = stages[name](config, lambda line: None, True)
        except UserError as error:
            raise UserError(
                f"the pilot ended in its stage {name}: {error}; take more with --pilot N"
            ) from error
        if reason != "done":
            raise UserError(f"the pilot ended early in its stage {name}: {reason}")


def _spent(config: ExperimentSettings, stage: str) -> Amount:
    with closing(open_reader(config.folder)) as con:
        return Amount(*con.execute(_SPENT.format(_TABLES[stage])).fetchall()[0])


def _written(config: SpaExperiment) -> float:
    """Return how many questions a topic has, on average."""
    with closing(open_reader(config.folder)) as con:
        found = con.execute("select count(*) from spa_questions").fetchall()[0][0]
    return max(1.0, float(found) / len(config.spa_config().topics))
