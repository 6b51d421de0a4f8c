"""Whether what a persona says about age, schooling, work and family can be true of one person.

Invariant: a rule fires only on what is impossible or all but impossible; an unusual life is not an
inconsistency. Rules on text read English as this project writes it, with ages and years in digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from scenarios.persona import Education, MaritalStatus, Persona
from scenarios.sampling.household import NUMBERS, WORDS
from scenarios.sampling.name_book import known_cultures, load_name_book
from scenarios.sampling.occupation import EARLIEST_AGE, RANK

_PROFESSIONS: tuple[tuple[str, Education, int], ...] = (
    ("doctor|physician|general practitioner|surgeon|dentist|veterinarian", "bachelor", 23),
    ("paediatrician|cardiologist|psychiatrist", "bachelor", 26),
    ("pharmacist|lawyer|solicitor|architect|psychologist", "bachelor", 22),
    ("judge", "bachelor", 28),
    ("professor", "master", 28),
    ("lecturer|doctoral student", "master", 22),
    ("postgraduate student|master's student", "bachelor", 20),
    ("student", "upper-secondary", 17),
    ("head teacher", "vocational", 28),
    ("teacher|midwife|engineer|electrician", "vocational", 18),
    ("nurse", "vocational", 19),
    ("manager|director|foreman|section chief|section head", "primary", 22),
    ("bus driver|lorry driver|train driver|taxi driver", "none", 18),
)
"""Words in an occupation, the least schooling and the least age in years of whoever has it."""
_LEARNER = re.compile(r"\b(student|apprentice|trainee|assistant)\b")
_YOUNGEST: dict[MaritalStatus, int] = {
    "living-together": 16,
    "married": 16,
    "separated": 18,
    "divorced": 19,
    "widowed": 22,
}
"""Least age in years for a marital status."""
RETIRED_FROM, STUDENT_UNTIL, APPRENTICE_UNTIL = 50, 40, 35
GAP, MOTHER_GAP, GRANDPARENT_GAP = 15, 50, 30
"""Years: the least between parent and child, the most between mother and child, the least between
grandparent and grandchild."""

_AGES = r",? aged (\d+(?:(?:, | and )\d+)*)"
_CHILD_AGES = re.compile(r"\b(?:sons?|daughters?|child|children|boys?|girls?|twins)\b" + _AGES)
_GRANDCHILD = r"\bgrand(?:sons?|daughters?|child|children)\b"
_GROWN = re.compile(r"\b(?:(\w+) )?(?:grown|adult) (?:sons?|daughters?|child|children)\b")


def inconsistencies(persona: Persona) -> list[str]:
    """Return a phrase for everything in a persona that contradicts the rest, or an empty list."""
    rules: tuple[Callable[[Persona], Iterator[str]], ...] = (
        _schooling,
        _occupation,
        _marriage,
        _children,
        _origin,
        _years,
        _pronouns,
        _place,
    )
    return [sentence for rule in rules for sentence in rule(persona)]


def _schooling(persona: Persona) -> Iterator[str]:
    earliest = EARLIEST_AGE[persona.education]
    if persona.age < earliest:
        yield f"nobody of {persona.age} has completed {persona.education}, {earliest} at the least"


def _occupation(persona: Persona) -> Iterator[str]:
    title = persona.occupation.lower()
    learns = _LEARNER.search(title)
    for words, least, youngest in _PROFESSIONS:
        if not re.search(rf"\b(?:{words})\b(?!')", title) or (learns and "student" not in words):
            continue
        if RANK[persona.education] < RANK[least]:
            yield f"'{title}' needs {least}, not {persona.education}"
        if persona.age < youngest:
            yield f"'{title}' needs an age of {youngest}, not {persona.age}"
    if re.search(r"\bretired\b", title) and persona.age < RETIRED_FROM:
        yield f"'{title}' at {persona.age}, before {RETIRED_FROM}"
    if re.search(r"\bstudent\b", title) and persona.age > STUDENT_UNTIL:
        yield f"'{title}' at {persona.age}, after {STUDENT_UNTIL}"
    if re.search(r"\b(apprentice|trainee)\b", title) and persona.age > APPRENTICE_UNTIL:
        yield f"'{title}' at {persona.age}, after {APPRENTICE_UNTIL}"


def _marriage(persona: Persona) -> Iterator[str]:
    status, household = persona.marital_status, persona.household
    if persona.age < _YOUNGEST.get(status, 0):
        yield f"{status} at {persona.age}, before {_YOUNGEST[status]}"
    own = WORDS[persona.gender].possessive
    spouse = re.search(rf"\b{own} (?:husband|wife|spouse)\b", household)
    partner = re.search(rf"\b{own} (?:partner|girlfriend|boyfriend|fiancée?)\b", household)
    if bool(spouse) != (status == "married"):
        yield f"{status}, but the household is '{household}'"
    if bool(partner) != (status == "living-together"):
        yield f"{status}, but the household is '{household}'"
    if status == "single" and re.search(r"\blate (?:husband|wife)\b", persona.background):
        yield "single, but the background speaks of a late husband or wife"


def _children(persona: Persona) -> Iterator[str]:
    text = f"{persona.household}. {persona.background}"
    oldest_mother = MOTHER_GAP if persona.gender == "woman" else 80
    for found in _CHILD_AGES.finditer(text):
        for child in map(int, re.findall(r"\d+", found[1])):
            if not GAP <= persona.age - child <= oldest_mother:
                yield f"a child of {child} at the age of {persona.age}"
    for found in re.finditer(_GRANDCHILD + _AGES, text):
        for child in map(int, re.findall(r"\d+", found[1])):
            if persona.age - child < GRANDPARENT_GAP:
                yield f"a grandchild of {child} at the age of {persona.age}"
    if persona.age < GRANDPARENT_GAP and re.search(_GRANDCHILD + "(?! of)", text):
        yield f"a grandchild at the age of {persona.age}"
    for found in _GROWN.finditer(text):
        others = NUMBERS.index(found[1]) - 1 if found[1] in NUMBERS else 0
        if persona.age < 18 + GAP + others:
            yield f"'{found[0]}' at the age of {persona.age}"


def _origin(persona: Persona) -> Iterator[str]:
    siblings = re.search(r"\b(?:brothers?|sisters?)\b(?!-in-law)", persona.household)
    if siblings and re.search(r"\bonly child\b", persona.background):
        yield f"an only child who lives with a {siblings[0]}"
    if re.search(r"\bparents\b(?!-in-law)", persona.household):
        place = re.search(r"\bmoved to (.+?) at \d", persona.background)
        if place and place[1] == persona.place:
            yield f"moved to {persona.place}, yet lives with parents"


def _years(persona: Persona) -> Iterator[str]:
    for years in map(int, re.findall(r"\bfor (\d+) years?\b", persona.background)):
        if years > persona.age - EARLIEST_AGE["primary"]:
            yield f"'for {years} years' at the age of {persona.age}"
    for years in map(int, re.findall(r"\b(?:at|until) (\d+)\b", persona.background)):
        if years > persona.age:
            yield f"'at {years}' at the age of {persona.age}"


def _pronouns(persona: Persona) -> Iterator[str]:
    words = WORDS[persona.gender]
    if persona.gender != "nonbinary":
        if persona.pronouns != f"{words.subject}/{words.object}":
            yield f"a {persona.gender} with the pronouns {persona.pronouns}"
        wrong = "He" if persona.gender == "woman" else "She"
        if re.search(rf"(?:^|[.;] ){wrong}\b", persona.background):
            yield f"a {persona.gender} called '{wrong}' in the background"
    found = re.match(r"(?:with|alone in) (his|her|their)\b", persona.household)
    if found and found[1] != words.possessive:
        yield f"a {persona.gender} whose household begins 'with {found[1]}'"


def _place(persona: Persona) -> Iterator[str]:
    """Yield what does not fit the culture's name book; nothing for a culture without one."""
    if persona.culture not in known_cultures():
        return
    communities = load_name_book(persona.culture).communities.values()
    kinds = {
        kind
        for group in communities
        for kind, names in group.places.items()
        if persona.place in names
    }
    if kinds and persona.settlement not in kinds:
        yield f"{persona.place} is not a {persona.settlement}"
    capitals = {name for group in communities for name in group.places.get("capital", ())}
    if persona.settlement == "capital" and persona.place not in capitals:
        yield f"{persona.place} is not the capital"
    spoken = {tag.split("-")[0] for group in communities for tag in group.languages}
    if spoken.isdisjoint(tag.split("-")[0] for tag in persona.languages):
        yield f"speaks none of {', '.join(sorted(spoken))}"
