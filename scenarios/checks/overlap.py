"""Private wording that shows up elsewhere in a scenario, and scenarios that repeat another.

Invariant: texts are compared as folded words, in any language; paraphrases are not recognised.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from difflib import SequenceMatcher
from functools import lru_cache
from typing import NamedTuple

from scenarios.parsing.problem import Finding, Keys, show_path
from scenarios.scenario import Role, Scenario
from scenarios.words import length, words

_LEAK_LENGTH = 5.0
"""Length (see `words.length`) of a shared run that makes a warning. Shorter runs are idiom."""
_VERBATIM_LENGTH = 8.0
"""Length that makes an error in public text, as does a run of half the private text."""
_SHORTEST = 3.0
"""Length below which a text is not searched for: it says too little to be told from idiom."""
NEAR_DUPLICATE = 0.25
"""Share of word triples, of setting and goals, that two scenarios have in common (Jaccard).

Independently written scenes stay below 0.03; a scene with one word in six replaced is near 0.4.
"""

_GRAM = 5


class _Private(NamedTuple):
    """A text that only some are told."""

    path: Keys
    text: tuple[str, ...]
    roles: frozenset[str]
    """Who may know it: the role, and whoever is in a team with it."""
    is_secret: bool


def leaks(scene: Scenario) -> Iterator[Finding]:
    """Yield secrets and goals whose wording appears where others read it.

    Public text that gives a secret away is an error when the wording is nearly whole. A goal is a
    warning, because the rules of a game may well be known to all, and so is private text of another
    role outside the team. Two goals in the same words are no leak at all, and texts that say too
    little to be told from idiom are not searched for.
    """
    private = [one for one in _private(scene) if length(one.text) >= _SHORTEST]
    holders: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for number, one in enumerate(private):
        for gram in _grams(one.text, min(_GRAM, len(one.text))):
            holders[gram].add(number)
    sizes = {len(gram) for gram in holders}
    for reader, path, text in _readable(scene):
        grams = (gram for size in sizes for gram in _grams(text, size))
        for number in sorted(set().union(*(holders.get(gram, ()) for gram in grams))):
            one = private[number]
            goals = one.path[-1] == path[-1] == "goal"
            if reader not in one.roles and not goals:
                yield from _leak(one, path, text, public=reader is None)


def _leak(one: _Private, path: Keys, text: tuple[str, ...], public: bool) -> Iterator[Finding]:
    run = _longest_run(one.text, text)
    if length(run) < _LEAK_LENGTH and len(run) < len(one.text):
        return
    where = "" if public else ", which another role is told"
    message = f'gives away {show_path(one.path)}{where}: "{" ".join(run)}"'
    whole = length(run) >= min(_VERBATIM_LENGTH, length(one.text) / 2)
    if public and not one.is_secret:
        message += "; public_goal: true says that everyone may know it"
    yield Finding(
        path, message, severity="error" if public and whole and one.is_secret else "warning"
    )


@lru_cache(maxsize=1024)
def _longest_run(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    found = SequenceMatcher(None, first, second, autojunk=False).find_longest_match()
    return first[found.a : found.a + found.size]


def shingles(scene: Scenario) -> frozenset[tuple[str, ...]]:
    """Return the word triples of the setting and the goals."""
    texts = (scene.setting, *(role.goal for role in scene.roles.values()))
    return frozenset(gram for text in texts for gram in _grams(words(text), 3))


def similarity(first: frozenset[tuple[str, ...]], second: frozenset[tuple[str, ...]]) -> float:
    """Return the Jaccard similarity of two sets of shingles, 0 to 1."""
    return len(first & second) / (len(first | second) or 1)


def _private(scene: Scenario) -> Iterator[_Private]:
    for name, role in scene.roles.items():
        insiders = frozenset({name, *(r for t in scene.teams_of(name).values() for r in t.roles)})
        goal = "" if role.public_goal or _is_shared(scene, role) else role.goal
        yield _Private(("roles", name, "goal"), words(goal), frozenset({name}), False)
        yield _Private(("roles", name, "secret"), words(role.secret or ""), insiders, True)
    for name, team in scene.teams.items():
        told = words(team.secret or "")
        yield _Private(("teams", name, "secret"), told, frozenset(team.roles), True)


def _is_shared(scene: Scenario, role: Role) -> bool:
    """Return whether all have the same goal, so that nobody gives anything away with it."""
    return all(words(other.goal) == words(role.goal) for other in scene.roles.values())


def _readable(scene: Scenario) -> Iterator[tuple[str | None, Keys, tuple[str, ...]]]:
    """Yield every text that others are told: to which role, None for all, its path, its words."""
    yield None, ("title",), words(scene.title)
    yield None, ("setting",), words(scene.setting)
    for name, role in scene.roles.items():
        yield None, ("roles", name, "brief"), words(role.brief)
        goal_reader = None if role.public_goal else name
        yield goal_reader, ("roles", name, "goal"), words(role.goal)
        for number, fact in enumerate(role.knows):
            yield name, ("roles", name, "knows", number), words(fact)
    for number, tie in enumerate(scene.relationships):
        yield None, ("relationships", number, "type"), words(tie.type)
    for number, phase in enumerate(scene.phases):
        yield None, ("phases", number, "brief"), words(phase.brief or "")
    for number, event in enumerate(scene.events):
        yield None, ("events", number, "text"), words(event.text)


def _grams(text: tuple[str, ...], size: int) -> Iterator[tuple[str, ...]]:
    return (text[start : start + size] for start in range(len(text) - size + 1))
