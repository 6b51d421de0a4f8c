"""The corpora of a CLCA experiment: one for each arm and culture, of equal size where arms are
compared at equal size.

Invariant: the same store and settings give the same corpora.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

from folkways.errors import UserError
from simulation.store.reader import open_reader
from training.corpus.config import CorpusConfig, make_config
from training.corpus.export import export_corpus
from training.experiment.arm import ARMS, EQUAL, JOINT, MAIN, Arm
from training.experiment.config import ClcaExperiment
from training.experiment.corpus_folders import CorpusFolders, Made, list_corpora, write_rows
from training.experiment.plain_text import WRITTEN, text_rows
from training.experiment.survey_rows import survey_corpus

_CONTENTS = """
select (select count(*) from episodes), (select count(*) from verdicts),
    (select count(*) from intents), (
        select md5(string_agg(line, '' order by line))
        from (select md5(concat_ws(' ', episode_id, turn, text)) as line from turns)
    )
"""
"""What tells whether a corpus would still be the same: no clock, so that a study made again has the
same corpora by name."""


def make_corpora(config: ClcaExperiment, say: Callable[[str], None]) -> list[Made]:
    """Make what is missing and return all corpora, in the order of the arms.

    Raises UserError where the main arm of a culture cannot be made.
    """
    maker = _Maker(config)
    made = [
        maker.make(arm, culture)
        for arm, chosen in config.chosen_arms.items()
        for culture in ((JOINT,) if chosen.joint else config.cultures)
    ]
    return list_corpora(config, made, say)


def main_tokens(config: ClcaExperiment) -> int:
    """Return the tokens of the main arm's largest corpus, which plain texts have to reach."""
    maker = _Maker(config)
    return max(maker.make(MAIN, culture).tokens for culture in config.cultures)


class _Maker:
    """Makes corpora, each once."""

    def __init__(self, config: ClcaExperiment) -> None:
        self.config, self.folders = config, CorpusFolders(config)
        with closing(open_reader(config.scenes)) as con:
            self.contents = json.dumps(con.execute(_CONTENTS).fetchone())

    def make(self, arm: str, culture: str) -> Made:
        """Return the corpus of an arm and a culture, made now if it is missing."""
        whole = self._made(arm, culture, self.config.corpus.tokens)
        others = [name for pair in EQUAL if arm in pair for name in pair if name != arm]
        if whole.folder is None or self.config.corpus.tokens is not None or not others:
            return whole
        sizes = [self._made(name, culture, None) for name in others]
        least = min([whole.tokens, *(size.tokens for size in sizes if size.folder)])
        return whole if least == whole.tokens else self._made(arm, culture, least)

    def _made(self, name: str, culture: str, tokens: int | None) -> Made:
        try:
            if ARMS[name].source == "nothing":
                return Made.nothing(name, culture)
            if ARMS[name].source == "texts":
                return self._of_texts(name, culture, tokens)
            if ARMS[name].source == "people":
                wanted = tokens or self._made(MAIN, culture, None).tokens
                return survey_corpus(self.config, self.folders, name, culture, wanted)
            settings = self._settings(ARMS[name], culture, tokens)
            made_of = [settings.identity, self.contents]
            export = partial(export_corpus, self.config.scenes, config=settings)
            return self.folders.keep(name, culture, made_of, lambda folder: export(folder=folder))
        except UserError as error:
            return Made(name, culture, None, reason=str(error))

    def _settings(self, arm: Arm, culture: str, tokens: int | None) -> CorpusConfig:
        part = self.config.corpus
        cultures = self.config.cultures if arm.joint else (culture,)
        given: dict[str, Any] = {"policy": part.policy} | dict(arm.corpus)
        if arm.preset == "no-filter":
            del given["policy"]
        return make_config(
            arm.preset,
            **given,
            cultures=cultures,
            tokens=tokens,
            validation=part.validation,
            hold_out=part.hold_out,
            seed=part.seed,
            tokenizer=self.folders.tokenizer,
        )

    def _of_texts(self, name: str, culture: str, tokens: int | None) -> Made:
        """Make the corpus of plain texts, as large as that of the main arm."""
        wanted = tokens or self._made(MAIN, culture, None).tokens
        with closing(open_reader(self.config.folder)) as con:
            written = con.execute(WRITTEN).fetchall()
        if not written:
            raise UserError("the model has written no plain text")
        rows = self.folders.cut(text_rows(written, culture), wanted)
        made_of = [written, wanted, self.folders.tokenizer]
        return self.folders.keep(name, culture, made_of, lambda folder: write_rows(folder, rows))
