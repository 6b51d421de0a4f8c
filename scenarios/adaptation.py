"""What an adaptation must keep of the scenario it was adapted from, and what it must not keep.

Invariant: ids, roles, ties, rules and everything else that decides what can happen are the
original's; names are new; and the text is retold, neither copied nor exchanged for another story.
"""

from __future__ import annotations

import calendar
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from math import sqrt
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from scenarios.library import adapted as adapted_files
from scenarios.parsing.problem import Finding, Keys, show_path, show_value
from scenarios.parsing.validation import parse
from scenarios.parsing.yaml_file import read_yaml
from scenarios.persona import Persona
from scenarios.pool import load_personas
from scenarios.scenario import Role, Scenario
from scenarios.words import words

COPIED = 0.35
"""Share of the word triples of an adaptation that may stand in the original, or in another
adaptation of it, and from which it counts as copied.

Measured on the sixty shipped adaptations, which were written by hand: 0.01 to 0.05 with their
originals, 0.02 to 0.10 with their siblings. An original keeps 0.56 to 0.83 when its names and its
five to twenty most frequent long words are exchanged, and 0.33 to 0.51 when one word in four,
drawn at random, is. Texts in different languages share nothing and are not compared.
"""
SAME_STORY = 0.12
"""Likeness (see `likeness`) to the original below which an adaptation counts as another story.

Measured: the sixty shipped adaptations reach 0.16 to 0.36 with their originals. Of their 3540 pairs
with the other scenarios of the library 95 in 100 stay below 0.10 and 6 in 1000 reach the bound.
"""
_LEAST_WORDS = 60
"""Content words that both stories must have to be compared for likeness."""

_STEM, _LEAST_LETTERS = 4, 5
_KEPT_NAME = re.compile(r"(?<=[a-z,;] )[A-Z]\w{2,}")
_CALENDAR = frozenset((*calendar.day_name, *calendar.month_name))


def deviations(
    original: Scenario, adapted: Scenario, siblings: Iterable[Scenario] = ()
) -> Iterator[Finding]:
    """Yield what is wrong with an adaptation, beside what is wrong with any scenario.

    `siblings` are the other adaptations of the same original. Names of the original that are left
    in a text are warnings, because a role from elsewhere may bring them along.
    """
    siblings = list(siblings)
    yield from _changed(original, adapted)
    if adapted.culture is None:
        yield Finding(("culture",), "an adaptation must say which culture it is set in", key=True)
    else:
        yield from _strangers(original, adapted)
    yield from _used_names(adapted, [original, *siblings])
    yield from _kept_names(original, adapted)
    yield from _distances(original, adapted, siblings)


def relatives(scene: Scenario, path: Path) -> list[Scenario]:
    """Return the shipped adaptations of the parent of `scene`, which stands in `path`, without
    itself.
    """
    files = (file for file in adapted_files().values() if file.resolve() != path.resolve())
    parent = scene.provenance.parent
    return [one for one in load_scenes(files) if one.provenance.parent == parent]


def load_scenes(files: Iterable[Path]) -> list[Scenario]:
    """Return the scenarios in those of the files that hold one, each read once until it changes."""
    scenes = (_load(file, file.stat().st_mtime_ns) for file in files)
    return [scene for scene in scenes if scene]


@lru_cache(maxsize=4096)
def _load(path: Path, changed_ns: int) -> Scenario | None:
    return parse(read_yaml(path).data, Scenario)[0]


def is_local(original: Scenario, role: Role) -> bool:
    """Return whether a role is played by someone of the culture in which the scene is set, so that
    an adaptation has to give it to someone of the new culture.
    """
    if role.persona:
        person = _everyone(original).get(role.persona)
        return not (person and original.culture and person.culture != original.culture)
    if role.select is None or role.select.culture == "scene":
        return True
    return role.select.culture != "any" and set(role.select.culture) == {original.culture}


def people(scene: Scenario) -> list[Persona]:
    """Return the people whom the scene names, its own and shipped ones."""
    everyone = _everyone(scene)
    named = [role.persona for role in scene.roles.values()]
    return [everyone[name] for name in named if name in everyone]


def texts(scene: Scenario) -> dict[Keys, str]:
    """Return every text of the story by its path; titles, words to listen for and people aside."""
    found: dict[Keys, str] = {("setting",): scene.setting}
    for name, role in scene.roles.items():
        found |= {("roles", name, "brief"): role.brief, ("roles", name, "goal"): role.goal}
        found |= {("roles", name, "secret"): role.secret or ""}
        found |= {("roles", name, "knows", n): fact for n, fact in enumerate(role.knows)}
    found |= {("events", n, "text"): event.text for n, event in enumerate(scene.events)}
    found |= {("phases", n, "brief"): phase.brief or "" for n, phase in enumerate(scene.phases)}
    return found | {("norms", n, "text"): norm.text for n, norm in enumerate(scene.norms)}


def copied_share(scene: Scenario, other: Scenario) -> float:
    """Return the share of the word triples of a scene that stand in another one, 0 to 1."""
    own, theirs = _triples(texts(scene).values()), _triples(texts(other).values())
    return len(own & theirs) / (len(own) or 1)


def likeness(scene: Scenario, other: Scenario) -> float | None:
    """Return how much two scenes are about the same, 0 to 1, None where there are too few words.

    Two tellings of one story share few phrases but many words in the same places: those of a role's
    wishes, of an event, of the norms. Content words (five letters or more, cut to four) are
    compared place by place, roles and events by their order, and the shared ones are counted
    against the geometric mean of the words of both.
    """
    own, theirs = _stems(scene), _stems(other)
    sizes = [sum(map(len, places.values())) for places in (own, theirs)]
    if min(sizes) < _LEAST_WORDS:
        return None
    shared = sum(len(own[place] & theirs[place]) for place in own if place in theirs)
    return shared / sqrt(sizes[0] * sizes[1])


def _same_language(scene: Scenario, other: Scenario) -> bool:
    """Return whether two scenes are written in the same language, whichever its variety."""
    return scene.language.split("-")[0].lower() == other.language.split("-")[0].lower()


def _everyone(scene: Scenario) -> dict[str, Persona]:
    return {**load_personas(), **{person.id: person for person in scene.personas}}


def _changed(original: Scenario, adapted: Scenario) -> Iterator[Finding]:
    """Yield what differs that decides what can happen."""
    old, new = dict(_fixed(original)), dict(_fixed(adapted))
    wrong = {path for path in old if path in new and old[path] != new[path]}
    for path in old:
        if path in wrong and (len(path) == 1 or path[:1] not in wrong):
            message = f"not as in '{original.id}', and an adaptation keeps it"
            yield Finding(path, message, show_value(new[path]), show_value(old[path]))


def _fixed(scene: Scenario) -> Iterator[tuple[Keys, Any]]:
    """Yield what an adaptation keeps: first what a section is made of, then each of its parts."""
    yield ("theme",), scene.theme
    yield ("policy",), scene.policy.model_dump()
    yield ("opens",), scene.opens
    yield ("limits",), scene.limits.model_dump(exclude_none=True)
    yield ("roles",), list(scene.roles)
    for name, role in scene.roles.items():
        yield ("roles", name, "secret"), "a secret" if role.secret else "no secret"
        yield ("roles", name, "knows"), f"{len(role.knows)} facts"
        yield ("roles", name, "enters"), role.enters
    yield ("relationships",), [list(tie.between) for tie in scene.relationships]
    yield from _parts("relationships", scene.relationships, {"type"})
    yield ("stop",), [rule.rule for rule in scene.stop]
    yield from _parts("stop", scene.stop, {"phrases", "offers", "contrary"})
    yield ("phases",), [phase.id for phase in scene.phases]
    hidden = {"brief": True, "until": {"rule": {"phrases", "offers", "contrary"}}}
    yield from _parts("phases", scene.phases, hidden)
    yield ("events",), [event.id for event in scene.events]
    yield from _parts("events", scene.events, {"text": True, "when": {"says"}})
    for number, event in enumerate(scene.events):
        if event.when:
            yield ("events", number, "when", "says"), "words" if event.when.says else "no words"
    yield ("norms",), [norm.id for norm in scene.norms]


def _parts(section: str, parts: Sequence[BaseModel], hidden: Any) -> Iterator[tuple[Keys, Any]]:
    for number, part in enumerate(parts):
        for key, value in part.model_dump(mode="json", exclude=hidden).items():
            yield (section, number, key), value


def _strangers(original: Scenario, adapted: Scenario) -> Iterator[Finding]:
    """Yield the roles that nobody of the new culture plays."""
    own = {person.id: person for person in adapted.personas}
    for name, role in adapted.roles.items():
        if name not in original.roles or not is_local(original, original.roles[name]):
            continue
        if role.persona not in own:
            message = "an adaptation brings its own person for this role, under personas"
            yield Finding(("roles", name), message, show_value(role.persona), key=True)
        elif (culture := own[role.persona].culture) != adapted.culture:
            path: Keys = ("personas", list(own).index(role.persona), "culture")
            message = "this person is not of the culture the scene is set in"
            yield Finding(path, message, show_value(culture), str(adapted.culture))


def _used_names(adapted: Scenario, others: Sequence[Scenario]) -> Iterator[Finding]:
    """Yield the people who bear the full name of one in the original or in a sibling."""
    taken = {name: other.id for other in others for who in people(other) for name in _names(who)}
    for number, person in enumerate(adapted.personas):
        for name in _names(person):
            if name in taken:
                message = f"somebody in '{taken[name]}' has this name"
                yield Finding(("personas", number, "name"), message, show_value(person.name))
                break


def _names(person: Persona) -> set[frozenset[str]]:
    return {frozenset(words(name)) for name in (person.name, person.native_name) if name}


def _kept_names(original: Scenario, adapted: Scenario) -> Iterator[Finding]:
    """Yield names of the original that are left in a text; days and months are no names."""
    if not original.language.startswith("en") or not adapted.language.startswith("en"):
        return
    whole = " ".join(texts(original).values())
    common = set(re.findall(r"\b[a-z]\w+", whole))
    names = {name for name in _KEPT_NAME.findall(whole) if name.lower() not in common} - _CALENDAR
    for path, text in texts(adapted).items():
        if kept := sorted(names & set(_KEPT_NAME.findall(text))):
            message = f"still has a name of '{original.id}'"
            yield Finding(path, message, ", ".join(kept), severity="warning")


def _distances(
    original: Scenario, adapted: Scenario, siblings: Iterable[Scenario]
) -> Iterator[Finding]:
    for other in (original, *siblings):
        if not _same_language(other, adapted):
            continue
        share = copied_share(adapted, other)
        if share >= COPIED:
            message = (
                f"repeats '{other.id}' instead of retelling it ({share:.0%} of its word triples"
                f" stand there, below {COPIED:.0%} is allowed); most alike: "
            )
            yield Finding(("setting",), message + ", ".join(_most_alike(adapted, other)))
    alike = likeness(adapted, original) if _same_language(original, adapted) else None
    if alike is not None and alike < SAME_STORY:
        message = (
            f"tells another story than '{original.id}' (likeness {alike:.2f}, at least"
            f" {SAME_STORY:.2f} is needed); what people want and what happens must stay"
        )
        yield Finding(("setting",), message)


def _most_alike(scene: Scenario, other: Scenario) -> list[str]:
    """Return the paths of the three texts that share the largest part with the other scene."""
    theirs = _triples(texts(other).values())
    shares = {}
    for path, text in texts(scene).items():
        own = _triples([text])
        shares[show_path(path)] = len(own & theirs) / (len(own) or 1)
    return sorted(shares, key=lambda path: -shares[path])[:3]


def _triples(parts: Iterable[str]) -> frozenset[tuple[str, ...]]:
    folded = map(words, parts)
    return frozenset(text[n : n + 3] for text in folded for n in range(len(text) - 2))


def _stems(scene: Scenario) -> dict[Keys, set[str]]:
    """Return the content words by the place they stand in: a role, an event, the norms."""
    order = {name: number for number, name in enumerate(scene.roles)}
    places: dict[Keys, set[str]] = defaultdict(set)
    told: dict[Keys, str] = {**texts(scene), ("setting", "title"): scene.title}
    told |= {("relationships", n): tie.type for n, tie in enumerate(scene.relationships)}
    for path, text in told.items():
        if path[0] == "roles":
            place: Keys = ("roles", order[str(path[1])])
        else:
            place = path[:2] if path[0] == "events" else path[:1]
        places[place] |= {word[:_STEM] for word in words(text) if len(word) >= _LEAST_LETTERS}
    return places
