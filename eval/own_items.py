"""Items of a survey of one's own: a YAML file, or a file of questions with people's shares.

Invariant: nothing of a file is executed, and an answer such as "don't know" among a question's
options is no point of its scale. A question whose scale nobody states is nominal: then no distance
along a scale is ever computed for it.
"""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from eval.item import Item, load_items, preset
from folkways.errors import UserError
from folkways.settings import Settings

QUESTION_FILES = (".json", ".jsonl", ".csv")
_NO_ANSWER = re.compile(
    r"(don'?t know|do not know|dk|no answer|na|refus|missing|not asked|not applicable|unsure)\b.*",
    re.IGNORECASE,
)
"""Options that are no answer."""
_LONGEST = 32_000
"""Characters of a cell of a question file that are parsed."""


class OwnItems(Settings):
    """A YAML file of items."""

    topic: str | None = None
    """The file's name by default."""
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Opinion:
    """A question with what people of some countries answered, as GlobalOpinionQA publishes it."""

    item: Item
    selections: Mapping[str, tuple[float, ...]]
    """By the country's name as in the file: shares of the options in their order."""
    respondents: Mapping[str, float]
    """By the same names how many people the shares are of, where the file says it."""


def named_items(name: str) -> tuple[Item, ...]:
    """Return the items of a preset, a topic, or a file (.yaml, .json, .jsonl, .csv)."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return _read_items(path)
    if path.suffix == ".txt" or (path.suffix == ".json" and _is_mapping(path)):
        return _registered(path)
    if path.suffix in QUESTION_FILES:
        return tuple(opinion.item for opinion in read_opinions(path))
    return preset(name)


def _is_mapping(path: Path) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8-sig").lstrip().startswith("{")


def _registered(path: Path) -> tuple[Item, ...]:
    """Return the items of the registry that a file names: an id a line, or the keys of a mapping,
    as in WorldValuesBench's value_questions.json; an entry `data` holds questions instead."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; name a file with ids of items")
    text = path.read_text(encoding="utf-8-sig")
    try:
        ids = list(json.loads(text)) if path.suffix == ".json" else text.split()
    except json.JSONDecodeError as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from error
    if ids == ["data"]:
        return tuple(opinion.item for opinion in read_opinions(path))
    for name in ids:
        if name not in load_items():
            raise UserError(f"{path}: '{name}' is no item; items are Q1 to Q259")
    return tuple(item for name, item in load_items().items() if name in ids)


def _read_items(path: Path) -> tuple[Item, ...]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; name a file of items")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = OwnItems.model_validate(data)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        faults = [f"{path}: {_place(fault['loc'])}{_message(fault)}" for fault in error.errors()]
        raise UserError("\n".join(faults)) from error
    topic = found.topic or path.stem
    items = tuple(
        item if item.topic else item.model_copy(update={"topic": topic}) for item in found.items
    )
    _check(path, items)
    return items


def _check(path: Path, items: tuple[Item, ...]) -> None:
    if not items:
        raise UserError(f"{path} has no items")
    seen: set[str] = set()
    for item in items:
        if item.id in load_items():
            raise UserError(
                f"{path}: '{item.id}' is an item of the World Values Survey; call yours otherwise, "
                f"such as own_{item.id}, and map it to its column under people.columns"
            )
        if item.id.casefold() in seen:
            raise UserError(f"{path}: two items are called '{item.id}'")
        seen.add(item.id.casefold())


def read_opinions(path: Path) -> tuple[Opinion, ...]:
    """Return the questions of a file with `question`, `options` and `selections` in each entry.

    `id`, `scale`, `higher` and `n` (people by country) are read where an entry has them. Raises
    UserError naming the entry that cannot be read.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; name a file of questions")
    stem = re.sub(r"[^A-Za-z0-9]+", "_", path.stem).strip("_") or "question"
    stem = stem if stem[0].isalpha() else f"q_{stem}"
    opinions = []
    try:
        for number, entry in enumerate(_entries(path), start=1):
            try:
                opinions.append(_opinion(entry, f"{stem}_{number:04d}", stem))
            except (KeyError, TypeError, ValueError, SyntaxError) as error:
                raise UserError(f"{path}, question {number}: {_reason(error)}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as questions: {error}") from error
    _check(path, tuple(opinion.item for opinion in opinions))
    return tuple(opinions)


def _place(keys: Sequence[int | str]) -> str:
    told = [f"item {key + 1}" if isinstance(key, int) else key for key in keys if key != "items"]
    return f"{', '.join(told)}: " if told else ""


def _message(fault: Mapping[str, Any]) -> str:
    return str(fault["msg"]).removeprefix("Value error, ")


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return _message(error.errors()[0])
    if isinstance(error, KeyError):
        return f"it has no {error}"
    return str(error)


def _entries(path: Path) -> Iterator[Any]:
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".csv":
        yield from csv.DictReader(text.splitlines(keepends=True))
    elif path.suffix == ".jsonl":
        yield from (json.loads(line) for line in text.splitlines() if line.strip())
    else:
        found = json.loads(text)
        entries = found.get("data", found) if isinstance(found, dict) else found
        if not isinstance(entries, list):
            raise UserError(f"{path} is not a list of questions")
        yield from entries


def _opinion(entry: Any, name: str, topic: str) -> Opinion:
    if not isinstance(entry, dict):
        raise ValueError("it is not a mapping with question, options and selections")
    labels = [" ".join(str(label).split()) for label in _plain_value(entry["options"])]
    options = dict(enumerate(labels, start=1))
    scale = entry.get("scale") or "nominal"
    told = {
        "id": entry.get("id") or name,
        "topic": topic,
        "ask": " ".join(str(entry["question"]).split()),
        "scale": scale,
        "options": options,
        "higher": entry.get("higher") or (None if scale == "nominal" else "more"),
        "other": tuple(code for code, label in options.items() if _NO_ANSWER.fullmatch(label)),
    }
    item = Item.model_validate(told)
    if len(item.points) < 2:
        raise ValueError("it has fewer than two options that are answers")
    selections = _plain_value(entry.get("selections") or {})
    shares = {str(home): tuple(map(float, given)) for home, given in selections.items()}
    for home, given in shares.items():
        if len(given) != len(options):
            raise ValueError(f"{home} has {len(given)} shares of {len(options)} options")
    counts = {str(home): float(n) for home, n in _plain_value(entry.get("n") or {}).items()}
    return Opinion(item, shares, counts)


def _plain_value(value: Any) -> Any:
    """Return a list or mapping, also of one that is written out as Python does: "['a', 'b']"."""
    if not isinstance(value, str):
        return value
    if len(value) > _LONGEST:
        raise ValueError(f"a cell has more than {_LONGEST:,} characters")
    body = re.fullmatch(r"\s*(?:defaultdict\(<class '\w+'>,\s*(.*)\)|(.*))\s*", value, re.DOTALL)
    assert body is not None
    return ast.literal_eval((body[1] or body[2]).strip())
