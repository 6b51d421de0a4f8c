"""The corpora of a CultureSPA experiment: selections of equal size, and scenes of equal tokens.

Invariant: the same store and settings give the same corpora.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from functools import cached_property
from pathlib import Path

from folkways.clock import utc_now
from folkways.errors import UserError
from simulation.store.reader import open_reader
from simulation.store.writer import Store
from training.corpus.candidates import draw
from training.culturespa.corpus import Source, export_selection, make_selection
from training.culturespa.select import SelectConfig
from training.experiment.arm import CHANGED, JOINT, SPA_ARMS
from training.experiment.corpus_folders import (
    CorpusFolders,
    Made,
    Row,
    list_corpora,
    read_corpora,
    read_rows,
    write_rows,
)
from training.experiment.spa_config import SpaExperiment
from training.experiment.survey_rows import survey_corpus

_CONTENTS = """
select count(*), md5(string_agg(line, '' order by line))
from (
    select md5(concat_ws(' ', condition_id, country, respondent_id, item_id, arrangement, sample,
        attempt, reply, probabilities::varchar)) as line
    from survey_replies join spa_questions on item_id = question_id
)
"""


def make_spa_corpora(config: SpaExperiment, say: Callable[[str], None]) -> list[Made]:
    """Make what is missing and return all corpora, in the order of the arms.

    Raises UserError where the main arm cannot be made.
    """
    maker = _Maker(config)
    made = [
        maker.make(arm, culture)
        for arm, chosen in config.chosen_arms.items()
        for culture in ((JOINT,) if chosen.joint else config.specific or config.cultures)
    ]
    return list_corpora(config, made, say)


class _Maker:
    """Makes corpora, each once."""

    def __init__(self, config: SpaExperiment) -> None:
        self.config, self.spa, self.folders = config, config.spa_config(), CorpusFolders(config)
        self.source = Source(config.folder, (), config.folder, self.spa)
        with closing(open_reader(config.folder)) as con:
            self.contents = json.dumps(con.execute(_CONTENTS).fetchone())

    def make(self, name: str, culture: str) -> Made:
        """Return the corpus of an arm and a culture, made now if it is missing."""
        makers: dict[str, Callable[[str, str], Made]] = {
            "nothing": Made.nothing,
            "selection": self._selected,
            "scenes": self._scenes,
            "answers": self._answers,
            "both": self._mixed,
            "people": self._surveyed,
        }
        try:
            return makers[SPA_ARMS[name].source](name, culture)
        except UserError as error:
            return Made(name, culture, None, reason=str(error))

    @cached_property
    def rows(self) -> int:
        """Rows of the main arm: as many as asked for, or as there are."""
        if self.config.selecting.rows is not None:
            return self.config.selecting.rows
        wanted = self._settings(CHANGED, None, JOINT)
        return len(make_selection(self.spa, Store(self.config.folder), wanted).chosen)

    def _settings(self, method: str, size: int | None, culture: str) -> SelectConfig:
        part = self.config.selecting
        return SelectConfig(
            method=method,
            size=size,
            reading=part.reading,
            paraphrases=part.paraphrases,
            cultures=self.config.cultures if culture == JOINT else (culture,),
            seed=part.seed,
        )

    def _selected(self, name: str, culture: str) -> Made:
        """Make the corpus of a selection; one culture has its own rows, however many."""
        arm = SPA_ARMS[name]
        size = max(1, int(arm.share * self.rows)) if culture == JOINT else None
        settings = self._settings(arm.corpus.get("method", CHANGED), size, culture)
        made_of = [settings.model_dump_json(), self.contents]
        return self.folders.keep(
            name,
            culture,
            made_of,
            lambda folder: export_selection(self.source, folder, settings, utc_now()),
        )

    def _scenes(self, name: str, culture: str) -> Made:
        """Make a corpus of another experiment's scenes."""
        return self._written(name, culture, self.folders.cut(self._foreign, self.tokens))

    def _answers(self, name: str, culture: str) -> Made:
        """Make a corpus of the main arm's answers."""
        return self._written(name, culture, self.folders.cut(self._main_rows, self.tokens))

    def _surveyed(self, name: str, culture: str) -> Made:
        """Make a corpus of people's answers, as large as the main arm's."""
        tokens = sum(map(self.folders.tokens, self._main_rows))
        return survey_corpus(self.config, self.folders, name, culture, tokens)

    def _mixed(self, name: str, culture: str) -> Made:
        """Make a corpus of scenes and answers in equal parts."""
        half = self.tokens // 2
        mixed = [*self.folders.cut(self._foreign, half), *self.folders.cut(self._main_rows, half)]
        mixed.sort(key=lambda row: draw(self.config.selecting.seed, str(row["id"])))
        return self._written(name, culture, mixed)

    @cached_property
    def tokens(self) -> int:
        """Tokens of the arms that are compared at equal tokens: those of the smaller corpus."""
        return min(sum(map(self.folders.tokens, rows)) for rows in (self._foreign, self._main_rows))

    @cached_property
    def _main_rows(self) -> list[Row]:
        return list(read_rows(self.config.folder / str(self._main().folder)))

    def _main(self) -> Made:
        made = self.make(CHANGED, JOINT)
        if made.folder is None:
            raise UserError(f"there is no corpus {CHANGED} to be as large as: {made.reason}")
        return made

    @cached_property
    def _foreign(self) -> list[Row]:
        folder = Path(str(self.config.clca))
        for made in read_corpora(folder):
            if made.arm == JOINT and made.folder:
                return list(read_rows(folder / made.folder))
        raise UserError(f"{folder} has no corpus of its arm {JOINT}")

    def _written(self, name: str, culture: str, rows: list[Row]) -> Made:
        made_of = [[row["id"] for row in rows], self.folders.tokenizer]
        return self.folders.keep(name, culture, made_of, lambda folder: write_rows(folder, rows))
