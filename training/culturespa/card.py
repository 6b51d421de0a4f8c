"""The card of a corpus of a model's own answers: README.md, what to know before training on it.

Invariant: every figure in it is counted from the store or from the rows, and the same selection has
the same card.
"""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agents.template import load_template
from folkways.provenance import short_hash
from training.corpus.card import cell, size_category, table
from training.corpus.length import estimated_length
from training.culturespa.pairs import Pair
from training.culturespa.select import Selection

FILE = "train.jsonl"
_COUNTED = ("asked", "answered", "different", "selected")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a corpus came to."""

    hash: str
    """Of the rows' ids in their order."""
    rows: int
    tokens: int
    labels: Mapping[str, int]
    """Rows by label, the most frequent first."""
    monotone: Mapping[str, float]
    """Share of the most frequent label by culture."""
    shared: int
    """Questions selected for two cultures or more."""
    alike: int
    """Of them, those with one label for all their cultures."""

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], selection: Selection) -> Contents:
        """Count the rows of a selection."""
        labels = [row["messages"][-1]["content"] for row in rows]
        by_culture: dict[str, Counter[str]] = defaultdict(Counter)
        by_question: dict[str, list[str]] = defaultdict(list)
        for row, label in zip(rows, labels, strict=True):
            by_culture[row["meta"]["culture_id"]][label] += 1
            by_question[row["meta"]["question_id"]].append(label)
        shared = [found for found in by_question.values() if len(found) > 1]
        tokens = sum(estimated_length(m["content"]) for row in rows for m in row["messages"])
        return cls(
            short_hash("".join(row["id"] for row in rows)),
            len(rows),
            tokens,
            dict(Counter(labels).most_common()),
            {name: max(found.values()) / found.total() for name, found in by_culture.items()},
            len(shared),
            sum(len(set(found)) == 1 for found in shared),
        )

    def imbalance(self) -> str:
        """Return how uneven the labels are, in a line."""
        label, count = next(iter(self.labels.items()))
        line = f"{count:,} of {self.rows:,} labels ({count / self.rows:.0%}) are {label}"
        if self.shared:
            line += f"; {self.alike:,} of {self.shared:,} questions have one label for all cultures"
        return line


def render_card(
    source: Path, overrides: Sequence[str], folder: Path, selection: Selection, contents: Contents
) -> str:
    """Return the card as Markdown with the metadata block of a Hugging Face dataset."""
    template = load_template("card", Path(__file__).with_name("prompts"), folded=False)
    text = template.page(
        front=_front_matter(selection, contents),
        contents=contents,
        selection=selection,
        run=source.stem,
        settings=selection.settings,
        command=command(source, overrides, folder, selection),
        cultures=_counts(selection, lambda pair: pair.country, "culture", contents.monotone),
        topics=_counts(selection, lambda pair: pair.topic, "topic"),
        labels=_labels(contents),
        cell=cell,
    )
    return text.strip() + "\n"


def command(source: Path, overrides: Sequence[str], folder: Path, selection: Selection) -> str:
    """Return the command that makes the same corpus again."""
    settings = selection.settings
    options = {
        "--method": settings["method"],
        "--reading": settings["reading"],
        "--size": settings["size"],
        "--per-culture": settings["per_culture"],
        "--cultures": ",".join(settings["cultures"]),
        "--threshold": settings["threshold"],
        "--seed": settings["seed"],
    }
    words = ["folkways", "spa", "select", str(source), str(folder)]
    for name, value in options.items():
        words += [] if value is None else [name, str(value)]
    words += [word for override in overrides for word in ("-o", override)]
    return shlex.join([*words, "--paraphrases" if settings["paraphrases"] else "--no-paraphrases"])


def _front_matter(selection: Selection, contents: Contents) -> str:
    data = {
        "pretty_name": f"folkways, CultureSPA: {selection.id}",
        "language": ["en"],
        "task_categories": ["text-generation"],
        "tags": ["synthetic", "folkways", "culturespa"],
        "size_categories": [size_category(contents.rows)],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": FILE}],
            }
        ],
        "folkways": {
            "hash": contents.hash,
            "format": "messages",
            "selection": selection.id,
            "tasks": {"culturespa": None},
            **selection.settings,
            "rows": {"train": contents.rows},
            "tokens": {"train": contents.tokens},
        },
    }
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True).strip()


def _counts(
    selection: Selection,
    kind: Callable[[Pair], str],
    name: str,
    monotone: Mapping[str, float] | None = None,
) -> str:
    """Return the funnel by kind of pair, as a table."""
    answered = [pair for pair in selection.asked if pair.answered]
    stages = (
        selection.asked,
        answered,
        [pair for pair in answered if pair.differ],
        selection.chosen,
    )
    counts = [Counter(map(kind, pairs)) for pairs in stages]
    rows = []
    for one in sorted(counts[0]):
        row: dict[str, Any] = {name: one}
        row |= zip(_COUNTED, (count[one] for count in counts), strict=True)
        row["share"] = f"{row['selected'] / len(selection.chosen):.1%}"
        if monotone is not None:
            row["commonest label"] = f"{monotone[one]:.1%}" if one in monotone else None
        rows.append(row)
    return table(list(rows[0]), rows)


def _labels(contents: Contents) -> str:
    def lines() -> Iterator[Mapping[str, Any]]:
        for label, count in contents.labels.items():
            yield {"label": label, "rows": count, "share": f"{count / contents.rows:.1%}"}

    return table(("label", "rows", "share"), list(lines()))
