"""A study of several models, or of several corpora: a study of its own for each, and one report.

Invariant: members differ in what their names say alone; scenes are played once for all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from eval.report.markdown import render_sections
from eval.report.measure import measure
from eval.report.results import PairedDifference, Results
from eval.report.table import Section, Table, TableRow, new_table
from folkways.errors import UserError
from folkways.files import read_json, write_whole
from training.experiment.arm import BASE
from training.experiment.comparison import Comparisons, Pair, corrected_cells
from training.experiment.config import ClcaExperiment
from training.experiment.experiment import SHOWN, ExperimentSettings
from training.experiment.pooled import pooled_corpora
from training.experiment.report import titled

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
S = TypeVar("S", bound=ExperimentSettings)


@dataclass(frozen=True, slots=True)
class Member:
    """One of the studies."""

    name: str
    model: str
    changes: Mapping[str, Any]
    """What it has in place of the whole's, by path of the setting."""

    def overrides(self) -> list[str]:
        """Return the changes as overrides of the command."""
        return [f"{key}={json.dumps(value)}" for key, value in self.changes.items()]

    def study(self, whole: S) -> S:
        """Return the member's own configuration, of what its report was made with."""
        return whole.model_copy(
            update={"name": self.name, "model": self.model, "models": (), "corpus_seeds": ()}
        )


def shared_changes(config: ExperimentSettings) -> list[str]:
    """Return the overrides with which the scenes of all members are played; none where they are
    those of another run."""
    own = isinstance(config, ClcaExperiment) and config.scenes == config.folder
    return ["models=[]", "corpus_seeds=[]"] if own else []


def members(config: ExperimentSettings) -> list[Member]:
    """Return the studies of a configuration; none where it is of one model and one corpus.

    Raises UserError where two of them would share a folder.
    """
    if not config.models and not config.corpus_seeds:
        return []
    found = []
    for model in config.models or (config.model,):
        for seed in config.corpus_seeds or (None,):
            short = _UNSAFE.sub("-", model.rstrip("/").rpartition("/")[2])[-30:].strip("-.")
            name = f"{config.name}-{short}" + ("" if seed is None else f"-corpus{seed}")
            changes: dict[str, Any] = {"name": name, "model": model, "models": []}
            changes["corpus_seeds"] = []
            if seed is not None:
                changes[config.corpus_seed_key] = seed
            if isinstance(config, ClcaExperiment):
                changes["simulation"] = {"from": str(config.scenes)}
            found.append(Member(name, model, changes))
    if len({member.name for member in found}) < len(found):
        raise UserError(
            f"models: two of {', '.join(config.models)} end in the same name, and would share a "
            "folder; give one of them another path"
        )
    return found


def write_family(config: S, studies: Sequence[S]) -> Path:
    """Write the report of all members, which have theirs, and return its file."""
    by_model: dict[str, list[tuple[S, Results]]] = {}
    for study in studies:
        found = read_json(study.folder / "results.json", Results)
        by_model.setdefault(study.model, []).append((study, found))
    titles = dict.fromkeys(
        one.title for each in by_model.values() for one in chain(*map(_asked, each))
    )
    tables = {
        part: [table for title in titles for table in _table(part, title, by_model)]
        for part in ("moved", "controls")
    }
    sections: Iterator[Section] = chain(*(titled(part, found) for part, found in tables.items()))
    about = (
        f"{len(by_model)} models, {len(studies)} studies: "
        f"{', '.join(str(study.folder) for study in studies)}"
    )
    text = "\n\n".join([f"# {config.name}", about, *render_sections([*sections])]) + "\n"
    config.folder.mkdir(parents=True, exist_ok=True)
    write_whole(config.folder, config.folder / "results.md", text)
    return config.folder / "results.md"


def _asked(study: tuple[ExperimentSettings, Results]) -> list[Comparisons]:
    config, results = study
    return [Comparisons(config, results, each) for each in results.series if each.model == BASE]


def _table(
    part: str, title: str, by_model: Mapping[str, Sequence[tuple[Any, Results]]]
) -> list[Table]:
    """Return differences by model and pair of arms, pooled over corpora and trainings."""
    names, found = list[tuple[str, str]](), list[list[PairedDifference | None]]()
    for model, studies in by_model.items():
        corpora = [one for study in studies for one in _asked(study) if one.title == title]
        listed = [_pairs(part, one) for one in corpora]
        for name in dict.fromkeys(name for pairs in listed for name in pairs):
            both = [(a, own[name]) for a, own in zip(corpora, listed, strict=True) if name in own]
            names.append((model, name))
            found.append([_pooled(both, metric) for metric in SHOWN])
    cells, held = corrected_cells([f"{model}: {name}" for model, name in names], found, SHOWN)
    rows = [TableRow((*words, *each)) for words, each in zip(names, cells, strict=True)]
    head = ("model", "", *(measure(name).title for name in SHOWN), "p", "p, Holm")
    return new_table(title, head, rows, held, words=2)


def _pairs(part: str, asked: Comparisons) -> dict[str, Pair]:
    pairs = asked.with_base({}) if part == "moved" else asked.with_controls({}, ())
    return {pair.name: pair for pair in pairs}


def _pooled(both: Sequence[tuple[Comparisons, Pair]], metric: str) -> PairedDifference | None:
    return pooled_corpora([asked.single(pair, metric) for asked, pair in both])
