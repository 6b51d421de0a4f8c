"""Step 2 of CultureSPA: the model answers the questions, as somebody and as somebody of a culture.

Invariant: both sides are asked by the machinery of evaluations, the same options in the same
orders; their prompts differ in the system message alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import duckdb

from eval.config import EvalConfig
from eval.evaluate import conduct, count_questions
from eval.item import Item
from eval.respondents.source import nobody
from eval.survey.condition import Planner
from folkways.errors import UserError
from simulation.execution.placement import Cluster
from simulation.store.run_lock import locked
from simulation.store.writer import FILE, Store
from training.culturespa.config import SpaConfig
from training.culturespa.questions import load_questions, settle_questions

_STAGE = "spa-collect"
SIDES = ("unaware", "culture")
"""How the model is asked: with its own values, and as a person of the culture."""
_TERMS = ("orders", "temperature", "top_p", "max_tokens")
"""Settings of a collection whose answers are kept apart: another value is another condition."""
_ASKED = """
select item_id, ask, map_from_entries(list((code, label) order by code))
from survey_items join survey_options using (item_id) group by all
"""


def collect(config: SpaConfig, *, quiet: bool = False, cluster: Cluster | None = None) -> str:
    """Have the questions answered that are open; return why the launch ended: done, drained or the
    spent budget.

    Raises UserError where no question was written yet, when another process writes the run, when
    its questions were made with other settings, and when the model cannot be used;
    KeyboardInterrupt after a second Ctrl-C.
    """
    require_run(config)
    with locked(config.run):
        settle_questions(config)
        store = Store(config.run)
        questions = chosen_questions(config, store)
        _require_same_words(store, questions)
        planner = make_planner(config, questions)
        return conduct(planner, store, stage=_STAGE, quiet=quiet, cluster=cluster)


def forecast(config: SpaConfig) -> list[str]:
    """Return what would be asked in all, line by line; nothing is asked or written."""
    require_run(config)
    questions = chosen_questions(config, Store(config.run))
    return [
        f"{len(questions):,} questions for {len(config.cultures)} cultures",
        *count_questions(make_planner(config, questions)),
    ]


def require_run(config: SpaConfig) -> None:
    """Raise UserError where a run has no store yet."""
    if not (config.run / FILE).exists():
        raise _no_questions(config)


def chosen_questions(config: SpaConfig, store: Store) -> tuple[Item, ...]:
    """Return the questions a configuration wants answered: on its topics, as many as it wants on
    each, without paraphrases of survey items where they are held out.

    Raises UserError where there is none.
    """
    try:
        stored = load_questions(store, hold_out=config.hold_out_paraphrases)
    except duckdb.CatalogException:  # the store is older than CultureSPA
        stored = ()
    places: Counter[str] = Counter()
    chosen = []
    for question in stored:
        places[question.topic] += 1
        if question.topic in config.topics and places[question.topic] <= config.per_topic:
            chosen.append(question)
    if not chosen:
        raise _no_questions(config)
    return tuple(chosen)


def make_planner(config: SpaConfig, questions: Sequence[Item]) -> Planner:
    """Return what makes the prompts of both sides."""
    asked = config.collection
    survey = EvalConfig(
        name=config.name,
        models=(config.model,),
        items="spa_questions",
        people="nobody",
        cultures=config.cultures,
        methods=SIDES,
        readouts=asked.readouts,
        samples=asked.samples,
        orders=asked.orders,
        temperature=asked.temperature,
        top_p=asked.top_p,
        max_tokens=asked.max_tokens,
        seed=config.seed,
        timeout_s=config.timeout_s,
        concurrency=config.concurrency,
        budget=config.budget,
        cache=config.cache,
        out=config.out,
    )
    survey.require_sampling("collection")
    terms = tuple((name, getattr(asked, name)) for name in _TERMS)
    return Planner(survey, nobody(config.cultures), questions, terms)


def _no_questions(config: SpaConfig) -> UserError:
    topics = "" if len(config.topics) > 3 else f" on {', '.join(config.topics)}"
    return UserError(
        f"{config.run} has no questions{topics} to be answered; `folkways spa generate` with the "
        "same configuration writes them"
    )


def _require_same_words(store: Store, questions: Sequence[Item]) -> None:
    """Raise UserError for a question that was worded otherwise when its answers were collected."""
    with store.reading() as con:
        asked = {id_: (ask, labels) for id_, ask, labels in con.execute(_ASKED).fetchall()}
    for question in questions:
        words = (question.ask, question.options)
        if asked.get(question.id, words) != words:
            raise UserError(
                f"{question.id} was worded otherwise when answers were collected in {store.path}: "
                f"'{asked[question.id][0]}'; the words of a question that was asked must not change"
            )
