"""Models that answer in a known way, to see whether an evaluation says the truth about them.

Invariant: a control knows nothing but the prompt, as every model; what it draws hangs on the seed,
never on the temperature.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from agents.models.base import CallFailed, Completion, Prompt, Sampling
from eval.item import Item, load_items
from eval.respondents.marginals import load_marginals
from eval.survey.prompt import render_item, shown_labels
from eval.survey.voice import Voice, languages, load_voice
from folkways.errors import UserError

_CONTROLS = {
    "people": "answers as the country's people do; where a prompt names none, as all countries' do",
    "people-of:COUNTRY": "answers as the people of that country, whoever is asked for",
    "first-option": "always takes the option that is shown first",
    "uniform": "guesses: every option is as likely",
    "order-biased:SHARE": "takes the first option in that share of answers, else answers as people",
}
"""What follows `control:` in a model's name, and what it stands for."""
_OPTION = re.compile(r"(\d+)(?:\. (.*))?")


class _Shown(NamedTuple):
    """A question as a control sees it."""

    voice: Voice
    item: Item
    codes: tuple[int, ...]
    """Of the options, in the order shown."""


class _Control:
    """Answers numbered options from a distribution that its name says."""

    def __init__(self, kind: str, country: str | None = None, bias: float = 0.0) -> None:
        self.name = f"control:{kind}"
        self._kind, self._country, self._bias = kind, country, bias

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Return the number of an option, drawn by the seed."""
        chances = self._chances(prompt)
        numbers = range(1, len(chances) + 1)
        (number,) = random.Random(f"{self.name} {sampling.seed}").choices(numbers, chances)
        return Completion(str(number), "stop", prompt_tokens=None, completion_tokens=None)

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        """Return the log-probability of each option; all of it is on the bare numbers."""
        chances = dict(enumerate(self._chances(prompt), 1))
        found = [chances.get(int(form), 0.0) if form.isdecimal() else 0.0 for form in options]
        return [math.log(chance) if chance else -math.inf for chance in found]

    def _chances(self, prompt: Prompt) -> list[float]:
        """Return the probability of each option as shown. Raises CallFailed for a prompt that asks
        no item of the survey."""
        system = "" if isinstance(prompt, str) else prompt[0]["content"]
        question = prompt if isinstance(prompt, str) else prompt[-1]["content"]
        heading, labels = _split(question)
        first = [1.0] + [0.0] * (len(labels) - 1)
        if self._kind == "first-option":
            return first
        if self._kind == "uniform":
            return [1 / len(labels)] * len(labels)
        shown = _recognised(heading, labels)
        country = self._country or _country(system, shown.voice)
        people = _people(shown, country)
        return [
            self._bias * one + (1 - self._bias) * other
            for one, other in zip(first, people, strict=True)
        ]


def from_spec(spec: str) -> _Control:
    """Return a control by what follows `control:`. Raises UserError for an unknown one."""
    kind, _, value = spec.partition(":")
    if spec in ("people", "first-option", "uniform"):
        return _Control(spec)
    if kind == "people-of" and value in load_marginals().countries:
        return _Control(spec, country=value)
    if kind == "order-biased" and (share := _share(value)) is not None:
        return _Control(spec, bias=share)
    raise UserError(
        f"unknown control '{spec}'; there are {', '.join(_CONTROLS)}, where COUNTRY is one of "
        f"{', '.join(load_marginals().countries)} and SHARE from 0 to 1"
    )


def _share(text: str) -> float | None:
    try:
        share = float(text)
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None


def _split(question: str) -> tuple[str, list[str]]:
    """Return the last question's wording and its options' labels, empty where they have none."""
    block = question.strip().rpartition("\n\n")[2].split("\n")
    found = [_OPTION.fullmatch(line) for line in block]
    labels = [match[2] or "" for match in found if match]
    numbers = [int(match[1]) for match in found if match]
    if not labels or numbers != [*range(1, len(numbers) + 1)]:
        raise CallFailed("bad-response", "a control answers questions with numbered options only")
    return "\n".join(block[: block.index(next(m[0] for m in found if m))]), labels


@cache
def _headings() -> dict[str, list[tuple[Voice, Item]]]:
    """Return items by their wording in each language; two may share it and differ in options."""
    found: dict[str, list[tuple[Voice, Item]]] = {}
    for voice in map(load_voice, languages()):
        for item in load_items().values():
            if voice.knows(item):
                heading = _split(render_item(voice, item, item.scale_codes))[0]
                found.setdefault(heading, []).append((voice, item))
    return found


def _recognised(heading: str, labels: Sequence[str]) -> _Shown:
    for voice, item in _headings().get(heading, ()):
        forward = item.scale_codes
        for codes in (forward, forward[::-1]):
            if shown_labels(voice, item, codes) == labels:
                return _Shown(voice, item, codes)
        by_label = {label: code for code, label in voice.wording(item).options.items()}
        if set(labels) <= set(by_label):
            return _Shown(voice, item, tuple(by_label[label] for label in labels))
    raise CallFailed("bad-response", f"no item of the survey is worded so: {heading[:80]}")


def _country(system: str, voice: Voice) -> str | None:
    """Return the country that a system prompt names first; None where it names none."""
    found = [
        (system.index(form), -len(form), country)
        for country, place in voice.words.countries.items()
        for form in {place.name, place.place or place.name}
        if form in system
    ]
    return min(found)[2] if found else None


def _people(shown: _Shown, country: str | None) -> list[float]:
    """Return people's shares of the options shown: of all countries alike where none is named, or
    where people of that one were not asked."""
    cells = load_marginals().cells
    homes = [home for home, item in cells if item == shown.item.id]
    chosen = [country] if country in homes else homes
    sums = dict.fromkeys(shown.codes, 0.0)
    for home in chosen:
        cell = cells[home, shown.item.id]
        for code, share in zip(cell.codes, cell.shares, strict=True):
            if code in sums:
                sums[code] += share
    total = sum(sums.values())
    return [sums[code] / total for code in shown.codes]
