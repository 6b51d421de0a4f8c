"""Private wording that shows up elsewhere in a scenario, and scenarios that repeat another.

Invariant: texts are compared as folded words, in any language; paraphrases are not recognised.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from difflib import SequenceMatcher
from functools import lru_cache

from scenarios.problem import Finding, Keys, show_path
from scenarios.scenario import Scenario
from scenarios.words import length, words

LEAK_LENGTH = 5.0
"""Length (see `words.length`) of a shared run that makes a warning. Shorter runs are idiom."""
VERBATIM_LENGTH = 8.0
"""Length that makes an error in public text, as does a run of half the private text."""
NEAR_DUPLICATE = 0.25
"""Share of word triples, of setting and goals, that two scenarios have in common (Jaccard).

Independently written scenes stay below 0.03; a scene with one word in six replaced is near 0.4.
"""

_GRAM = 5


def leaks(scene: Scenario) -> Iterator[Finding]:
    """Yield secrets and goals whose wording appears where others read it.

    Public text that gives one away is an error when the wording is nearly whole. Private text of
    another role is a warning, because two roles may well be meant to share a fact; two goals in
    the same words are no leak at all.
    """
    private = list(_private(scene))
    holders: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for number, (_, text) in enumerate(private):
        for gram in _grams(text, min(_GRAM, len(text))):
            holders[gram].add(number)
    sizes = {len(gram) for gram in holders}
    for public, path, text in _readable(scene):
        grams = (gram for size in sizes for gram in _grams(text, size))
        for number in sorted(set().union(*(holders.get(gram, ()) for gram in grams))):
            owner, secret = private[number]
            own, goals = owner[:2] == path[:2], owner[-1] == path[-1] == "goal"
            if public or not (own or goals):
                yield from _leak(owner, secret, path, text, public)


def _leak(
    owner: Keys, secret: tuple[str, ...], path: Keys, text: tuple[str, ...], public: bool
) -> Iterator[Finding]:
    run = _longest_run(secret, text)
    if length(run) < LEAK_LENGTH and len(run) < len(secret):
        return
    where = "" if public else ", which another role is told"
    message = f'gives away {show_path(owner)}{where}: "{" ".join(run)}"'
    whole = length(run) >= min(VERBATIM_LENGTH, length(secret) / 2)
    yield Finding(path, message, severity="error" if public and whole else "warning")


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


def _private(scene: Scenario) -> Iterator[tuple[Keys, tuple[str, ...]]]:
    for name, role in scene.roles.items():
        for key, text in (("goal", role.goal), ("secret", role.secret)):
            if private := words(text or ""):
                yield ("roles", name, key), private


def _readable(scene: Scenario) -> Iterator[tuple[bool, Keys, tuple[str, ...]]]:
    """Yield every text that others are told: whether everyone is, its path, its words."""
    yield True, ("title",), words(scene.title)
    yield True, ("setting",), words(scene.setting)
    for name, role in scene.roles.items():
        yield True, ("roles", name, "brief"), words(role.brief)
        yield False, ("roles", name, "goal"), words(role.goal)
        for number, fact in enumerate(role.knows):
            yield False, ("roles", name, "knows", number), words(fact)
    for number, tie in enumerate(scene.relationships):
        yield True, ("relationships", number, "type"), words(tie.type)
    for number, phase in enumerate(scene.phases):
        yield True, ("phases", number, "brief"), words(phase.brief or "")
    for number, event in enumerate(scene.events):
        yield True, ("events", number, "text"), words(event.text)


def _grams(text: tuple[str, ...], size: int) -> Iterator[tuple[str, ...]]:
    return (text[start : start + size] for start in range(len(text) - size + 1))
