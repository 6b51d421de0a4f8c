"""The hand-over to step 4 of CultureSPA: a selection as a corpus that `folkways train` learns from.

Invariant: a row is the prompt for the culture as it was asked, options in forward order, and the
number of the label as shown, nothing else; the folder has the whole corpus or nothing of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from eval.item import Item
from eval.survey.method import method
from eval.survey.prompt import chat, render_item, render_system
from eval.survey.voice import load_voice
from folkways.errors import UserError
from folkways.provenance import short_hash
from simulation.store.reader import find_store
from simulation.store.run_lock import locked
from simulation.store.writer import FILE, Store
from training.corpus.card import CARD, read_front_matter
from training.corpus.export import PART, made_whole
from training.corpus.formats import FORMATS, SPLITS, write_files
from training.culturespa.card import FILE as SPLIT
from training.culturespa.card import Contents, render_card
from training.culturespa.collect import SIDES, chosen_questions, make_planner, require_run
from training.culturespa.config import SpaConfig, load_spa_config
from training.culturespa.pairs import read_answers
from training.culturespa.questions import as_item
from training.culturespa.select import SelectConfig, Selection, record, select

_TASK = "culturespa"
_LANGUAGE = "en"
"""Language in which questions are written and asked."""
_WORDS = """
select question_id, topic, ask, options from spa_questions
where question_id in (select question_id from spa_selections where selection_id = ?)
"""


class Source(NamedTuple):
    """Where a selection is made from."""

    path: Path
    """As the user gave it."""
    overrides: Sequence[str]
    run: Path
    """The run's folder."""
    config: SpaConfig | None
    """None where a run was given and not a configuration: then all its questions count."""


def find_source(path: Path, overrides: Sequence[str] = ()) -> Source:
    """Return the run of a configuration, or the run at a path.

    Raises UserError where there is no store, and for overrides of a run.
    """
    if path.is_dir() or path.name == FILE:
        if overrides:
            raise UserError(f"{path} is a run; values are overridden in a configuration")
        return Source(path, (), find_store(path).parent, None)
    config = load_spa_config(path, overrides)
    require_run(config)
    return Source(path, overrides, config.run, config)


def export_selection(
    source: Source, folder: Path, wanted: SelectConfig, utc: datetime
) -> tuple[Selection, Contents]:
    """Select, store the selection, and write its corpus into a folder.

    Raises UserError as `select` does, and for a folder that is not empty; nothing is left in the
    folder then.
    """
    with made_whole(folder) as part:
        with locked(source.run):
            store = Store(source.run)
            store.create()
            selection = make_selection(source.config, store, wanted)
            record(store, selection, utc)
            items = _items(store, selection)
        rows = list(_rows(selection, items))
        write_files(FORMATS["messages"], lambda split: rows if split == SPLITS[0] else [], part)
        contents = Contents.of(rows, selection)
        card = render_card(source.path, source.overrides, folder, selection, contents)
        (part / CARD).write_text(card, encoding="utf-8")
    return selection, contents


def made_already(
    source: Source, folder: Path, wanted: SelectConfig
) -> tuple[Selection, Contents] | None:
    """Return the selection and its corpus if the corpus is in the folder, whole."""
    if not (folder / SPLIT).is_file() or (folder / PART).exists():
        return None
    try:
        known = read_front_matter(folder)
    except UserError:
        return None
    store = Store(source.run)
    selection = make_selection(source.config, store, wanted)
    if known.get("selection") != selection.id:
        return None
    return selection, Contents.of(list(_rows(selection, _items(store, selection))), selection)


def make_selection(config: SpaConfig | None, store: Store, wanted: SelectConfig) -> Selection:
    """Return a selection from the answers of a configuration, or of all questions without one;
    nothing is stored. Raises UserError as `select` does."""
    if config is None:
        with store.reading() as con:
            return select(read_answers(con, wanted.reading), wanted)
    held_out = config.model_copy(update={"hold_out_paraphrases": not wanted.paraphrases})
    questions = chosen_questions(held_out, store)
    among = {
        replace(condition, readout=readout).id
        for condition in make_planner(config, questions).conditions(config.model)
        if condition.method_name == SIDES[1]
        for readout in ("logprobs", "text")
    }
    with store.reading() as con:
        answers = read_answers(con, wanted.reading, among)
    asked = {pair.country for pair in answers.pairs}
    cultures = wanted.cultures or tuple(name for name in config.cultures if name in asked)
    if not cultures:
        raise UserError(
            f"no question is answered on both sides for {', '.join(config.cultures)} yet; "
            "`folkways spa collect` goes on"
        )
    wanted = wanted.model_copy(update={"cultures": cultures})
    return select(answers, wanted, {question.id for question in questions})


def _items(store: Store, selection: Selection) -> dict[str, Item]:
    with store.reading() as con:
        found = con.execute(_WORDS, [selection.id]).fetchall()
    return {row[0]: as_item(*row) for row in found}


def _rows(selection: Selection, items: Mapping[str, Item]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows as the formats of corpora take them."""
    voice = load_voice(_LANGUAGE)
    systems = {
        country: render_system(voice, method(SIDES[1]), country) for country in selection.cultures
    }
    questions = {id_: render_item(voice, item, item.scale_codes) for id_, item in items.items()}
    for pair in selection.chosen:
        item, label = items[pair.question], pair.aware
        assert label is not None, "what is selected has an answer"
        prompt = chat(systems[pair.country], questions[pair.question])
        number = item.scale_codes.index(label) + 1
        prompt.append({"role": "assistant", "content": str(number)})
        yield {
            "id": short_hash(json.dumps([_TASK, prompt], ensure_ascii=False)),
            "messages": prompt,
            "meta": {
                "task": _TASK,
                "question_id": item.id,
                "topic": item.topic,
                "culture_id": pair.country,
                "language": _LANGUAGE,
                "model": selection.answers.model,
                "answer": item.options[label],
            },
        }
