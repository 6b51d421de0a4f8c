"""The life story of a sampled person, put into sentences from facts already drawn.

Invariant: a sentence states a fact of the persona or of its family; no event is made up for effect.
"""

from __future__ import annotations

from random import Random

from scenarios.persona import Education, Gender
from scenarios.sampling.household import NUMBERS, WORDS, Family, Words, count
from scenarios.sampling.occupation import EARLIEST_AGE, Occupation

_SCHOOLING: dict[Education, str] = {
    "none": "never went to school",
    "primary": "left school after the primary years",
    "lower-secondary": "left school after the lower secondary years",
    "upper-secondary": "finished secondary school",
    "vocational": "completed vocational training",
    "bachelor": "took a bachelor's degree",
    "master": "took a master's degree",
    "doctorate": "took a doctorate",
}
_ORDINALS = ("first", "second", "third", "fourth", "fifth")


def _article(noun: str) -> str:
    """Return `a` or `an` as the noun's first sound asks."""
    return "an" if noun[0].lower() in "aeiou" and not noun.startswith("uni") else "a"


def tell_background(
    rng: Random,
    age: int,
    gender: Gender,
    education: Education,
    occupation: Occupation,
    family: Family,
    place: str,
    origin: str,
    pastime: str,
) -> str:
    """Return three or four sentences on origin, schooling and work, family, and free time.

    `origin` is where the person grew up; equal to `place` for those who stayed. `age` in years.
    """
    words = WORDS[gender]
    sentences = [
        _tell_origin(rng, age, family.siblings, place, origin),
        _tell_work(rng, age, education, occupation, words),
        _tell_children(family, words),
        f"Free time goes to {pastime}.",
    ]
    return " ".join(filter(None, sentences))


def _tell_origin(rng: Random, age: int, siblings: int, place: str, origin: str) -> str:
    rank = "an only child"
    if siblings:
        rank = f"the {rng.choice(_ORDINALS[: siblings + 1])} of {NUMBERS[siblings + 1]} children"
    if origin == place:
        return f"Born and raised in {place}, {rank}."
    return f"Grew up in {origin}, {rank}, and moved to {place} at {rng.randint(16, min(age, 45))}."


def _tell_work(
    rng: Random, age: int, education: Education, occupation: Occupation, words: Words
) -> str:
    start = f"{words.subject.capitalize()} {_SCHOOLING[education]}"
    title = f"{_article(occupation.title)} {occupation.title}"
    youngest, oldest = occupation.ages
    first_year = max(youngest, EARLIEST_AGE[education])
    if occupation.kind == "study":
        return f"{start} and then became {title}."
    if occupation.kind == "seeking":
        return f"{start} and {words.looks} for work."
    if age > oldest:
        stopped = rng.randint(max(first_year, oldest - 5), oldest)
        return f"{start} and later worked as {title} until retiring at {stopped}."
    # The longer of two spans: few people begin a new line of work late.
    years = max(rng.randint(0, age - first_year), rng.randint(0, age - first_year))
    if years == 0:
        return f"{start} and recently became {title}."
    return f"{start} and {words.has} been {title} for {years} year{'s' if years > 1 else ''}."


def _tell_children(family: Family, words: Words) -> str:
    if not family.grown_children:
        return ""
    children = count(family.grown_children, "grown child", "grown children")
    subject = f"{words.subject.capitalize()} {words.has}"
    if not family.grandchildren:
        return f"{subject} {children}."
    return f"{subject} {children} and {count(family.grandchildren, 'grandchild', 'grandchildren')}."
