"""The family a sampled person lives in, drawn from age, gender, occupation and marital status.

Invariant: children are born to parents of 20 to 42 years, and nobody is married, widowed or a
grandparent before the age bands below allow it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from scenarios.persona import Gender, MaritalStatus
from scenarios.sampling.occupation import Kind

_STATUS_WEIGHTS: tuple[tuple[int, dict[MaritalStatus, int]], ...] = (
    (75, {"single": 5, "living-together": 2, "married": 45, "divorced": 8, "widowed": 40}),
    (60, {"single": 6, "living-together": 4, "married": 60, "divorced": 10, "widowed": 20}),
    (45, {"single": 10, "living-together": 8, "married": 62, "separated": 4, "divorced": 11,
          "widowed": 5}),
    (30, {"single": 22, "living-together": 14, "married": 56, "separated": 3, "divorced": 5}),
    (22, {"single": 60, "living-together": 18, "married": 22}),
    (14, {"single": 94, "living-together": 5, "married": 1}),
)  # fmt: skip
"""Youngest age of a band and the weights in it: chosen for variety, not taken from a census."""
PARTNERED: frozenset[MaritalStatus] = frozenset(("married", "living-together"))
PARTNERED_UNTIL = 49
"""Oldest, in years, of those whom the figure covers."""
_STATUSES_OF_KIND: dict[Kind, tuple[MaritalStatus, ...]] = {
    "study": ("single", "living-together"),
    "home": ("married", "living-together", "widowed"),
}
"""Where the occupation narrows the choice."""
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


class Words(NamedTuple):
    """How a person is referred to in English."""

    subject: str
    object: str
    possessive: str
    spouse: str
    has: str
    looks: str


WORDS: dict[Gender, Words] = {
    "woman": Words("she", "her", "her", "husband", "has", "is looking"),
    "man": Words("he", "him", "his", "wife", "has", "is looking"),
    "nonbinary": Words("they", "them", "their", "spouse", "have", "are looking"),
}


@dataclass(frozen=True, slots=True)
class Family:
    """What the rest of a persona needs to know about relatives."""

    status: MaritalStatus
    household: str
    siblings: int
    """Brothers and sisters."""
    with_parents: bool
    """Whether the person still lives where the parents do."""
    grown_children: int
    """Children of 18 or more years, wherever they live."""
    grandchildren: int


def series(parts: Sequence[str]) -> str:
    """Return `a, b and c`."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def count(number: int, singular: str, plural: str) -> str:
    """Return `one son` or `two sons`, in words up to ten."""
    word = NUMBERS[number] if number < len(NUMBERS) else str(number)
    return f"{word} {singular if number == 1 else plural}"


def draw_family(
    rng: Random, *, age: int, gender: Gender, kind: Kind, status: MaritalStatus
) -> Family:
    """Draw the family of somebody whose marital status is drawn already; `age` in years."""
    words = WORDS[gender]
    siblings = rng.randint(0, 4)
    children = () if kind == "study" else _draw_children(rng, age, status)
    grandchildren = sum(
        rng.choices((0, 1, 2, 3), (3, 3, 3, 1))[0] for child in children if child >= 27
    )
    if status == "single" and not children:
        household = _household_of_single(rng, age, kind, siblings, words)
    else:
        household = _household_of_family(rng, age, status, children, words)
    with_parents = household.startswith(f"with {words.possessive} parents")
    grown = sum(child >= 18 for child in children)
    return Family(status, household, siblings, with_parents, grown, grandchildren)


def status_weights(
    age: int, kind: Kind, *, cohabitation: bool, partnered: float = 1
) -> dict[MaritalStatus, float]:
    """Return the weight of each marital status that age (years) and occupation allow.

    Without `cohabitation` nobody lives with a partner unmarried. `partnered` multiplies the weights
    of those with a partner up to the age of 49.
    """
    weights = next(weights for youngest, weights in _STATUS_WEIGHTS if age >= youngest)
    return {
        status: weight * (partnered if status in PARTNERED and age <= PARTNERED_UNTIL else 1)
        for status, weight in weights.items()
        if status in _STATUSES_OF_KIND.get(kind, tuple(weights))
        and (cohabitation or status != "living-together")
    }


def _draw_children(rng: Random, age: int, status: MaritalStatus) -> tuple[int, ...]:
    """Return the children's ages, oldest first."""
    childless = {"single": 0.95, "living-together": 0.5}.get(status, 0.2)
    if age < 22 or rng.random() < childless:
        return ()
    births = [rng.randint(20, min(age - 1, 34))]
    for _ in range(rng.choices((0, 1, 2, 3), (4, 6, 3, 1))[0]):
        births.append(births[-1] + rng.randint(2, 5))
    return tuple(age - birth for birth in births if birth < age and birth <= 42)


def _household_of_single(rng: Random, age: int, kind: Kind, siblings: int, words: Words) -> str:
    """Return where somebody without partner and children lives."""
    parents = f"with {words.possessive} parents"
    choices = ["alone"]
    if age <= 45:
        choices.append(parents)
    if age <= 26:
        choices.append(f"{parents} and {words.possessive} grandmother")
    if age <= 35:
        choices += ["in a shared flat with two friends", "in a rented room with a family"]
    if kind == "study":
        choices.append("in a student residence")
    if siblings:
        sibling = rng.choice(("brother", "sister"))
        choices.append(f"{parents} and a {sibling}" if age <= 45 else f"with a {sibling}")
    return rng.choice(choices)


def _household_of_family(
    rng: Random, age: int, status: MaritalStatus, children: tuple[int, ...], words: Words
) -> str:
    """Return who lives together when there is or was a partner, or a child."""
    members = []
    if status == "married":
        members.append(f"{words.possessive} {words.spouse}")
    elif status == "living-together":
        members.append(f"{words.possessive} partner")
    at_home = [child for child in children if child < 18 or (child < 25 and rng.random() < 0.5)]
    if status in ("separated", "divorced") and at_home and rng.random() < 0.35:
        return f"alone; {count(len(at_home), 'child lives', 'children live')} with the other parent"
    members += _children_at_home(rng, at_home)
    if age >= 62 and children and children[0] >= 28 and rng.random() < 0.25:
        members.append(f"the family of a married {rng.choice(('son', 'daughter'))}")
    elif age <= 60 and rng.random() < 0.12:
        members.append(f"{words.possessive} mother")
    return f"with {series(members)}" if members else "alone"


def _children_at_home(rng: Random, ages: Sequence[int]) -> list[str]:
    """Return `two sons aged 9 and 4` or `three children aged ...`, a son and a daughter apart."""
    names = [rng.choice(("son", "daughter")) for _ in ages]
    if len(ages) == 1 or (len(ages) == 2 and names[0] != names[1]):
        return [f"a {name} aged {age}" for name, age in zip(names, ages, strict=True)]
    if not ages:
        return []
    noun = f"{names[0]}s" if len(ages) == 2 else "children"
    return [f"{NUMBERS[len(ages)]} {noun} aged {series([str(age) for age in ages])}"]
