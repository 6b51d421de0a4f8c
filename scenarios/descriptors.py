"""Words for a culture's numbers: one binning of the Hofstede scores, one of the world values map.

Invariant: each binning is monotone and the same for every culture; a missing number has no word.

**Hofstede.** Scores run from 0 to 100 and are cut at 25, 50 and 75 into four bins. A score on a cut
belongs to the bin above it: 0 to below 25, 25 to below 50, 50 to below 75, 75 to 100.

**Inglehart-Welzel.** The average respondent stands at 0.038 on the axis from survival to
self-expression and at -0.10 on the axis from traditional to secular; one standard deviation among
respondents is 1.81 and 1.61 units. The cuts are evenly spaced, a value on a cut belongs to the bin
above it, and the outer bins are open:

* survival to self-expression: six bins, 0.6 units wide, around 0.1;
* traditional to secular: four bins, 1.3 units wide, around -0.1.

Middle and width were chosen to agree, as far as any monotone binning can, with the words that Liu,
Korhonen and Gurevych give five cultures (2025, *Cultural Learning-Based Culture Adaptation of
Language Models*, ACL). `tests/scenarios/test_cultures.py` shows each word that differs, and why.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from scenarios.culture import HOFSTEDE_DIMENSIONS, Culture, Hofstede, InglehartWelzel

HOFSTEDE_CUTS = (25.0, 50.0, 75.0)
SELF_EXPRESSION_CUTS = (-1.1, -0.5, 0.1, 0.7, 1.3)
SECULAR_CUTS = (-1.4, -0.1, 1.2)

SELF_EXPRESSION_WORDS = (
    "uttermost survival",
    "moderate survival",
    "little survival",
    "little self-expression",
    "moderate self-expression",
    "uttermost self-expression",
)
SECULAR_WORDS = (
    "uttermost traditional",
    "moderately traditional",
    "moderately secular",
    "uttermost secular",
)


class _Dimension(NamedTuple):
    """How one Hofstede dimension is put into words."""

    topic: str
    words: tuple[str, str, str, str]
    """From the lowest bin to the highest."""
    low: str
    """What the two lower bins mean, in plain words."""
    high: str
    """What the two higher bins mean, in plain words."""
    high_verb: str = "is"


DIMENSIONS = {
    "pdi": _Dimension(
        topic="rank",
        words=(
            "highly equal", "moderately equal", "moderately hierarchical", "highly hierarchical",
        ),
        low="people expect to be treated alike whatever their position",
        high="people expect differences in position and show respect to those above them",
    ),
    "idv": _Dimension(
        topic="the person and the group",
        words=(
            "highly collective", "moderately collective",
            "moderately individualistic", "highly individualistic",
        ),
        low="people see themselves as members of a family or group that stands together",
        high="people decide for themselves and look after themselves and those closest to them",
    ),
    "mas": _Dimension(
        topic="success",
        words=(
            "highly consensus-seeking", "moderately consensus-seeking",
            "moderate motivation", "high motivation",
        ),
        low="getting along and living well count for more than winning",
        high="achieving, competing and being seen to succeed count for much",
        high_verb="shows",
    ),
    "uai": _Dimension(
        topic="uncertainty",
        words=(
            "highly risk-taking", "moderately risk-taking", "moderate avoidance", "high avoidance",
        ),
        low="people are at ease with what is new, open or unclear",
        high="people prefer clear rules and plans to what is new, open or unclear",
        high_verb="shows",
    ),
    "lto": _Dimension(
        topic="past and future",
        words=(
            "highly normative", "moderately normative", "moderately pragmatic", "highly pragmatic",
        ),
        low="people hold on to tradition and settled truths",
        high="people adapt customs to circumstances, save and work towards distant aims",
    ),
    "ivr": _Dimension(
        topic="enjoyment",
        words=(
            "highly restrained", "moderately restrained",
            "moderately indulgent", "highly indulgent",
        ),
        low="people hold back their wishes and give leisure a modest place",
        high="people feel free to follow their wishes and enjoy life",
    ),
}  # fmt: skip

_DEGREES = {"little": "slightly", "moderate": "clearly", "uttermost": "very strongly"}
_POLES = {
    "survival": "security and getting by come first, and strangers are met with caution",
    "self-expression": "having a say, tolerance and quality of life matter more than security",
    "traditional": "religion, family ties and respect for authority weigh much",
    "secular": "religion and inherited authority weigh less than reasons and own judgement",
}
_CAVEAT = "These are averages of a whole country; the people in it differ widely from each other."


def hofstede_words(hofstede: Hofstede) -> dict[str, str]:
    """Return the word for each dimension that has a score, in the order of HOFSTEDE_DIMENSIONS."""
    scores = {key: getattr(hofstede, key) for key in HOFSTEDE_DIMENSIONS}
    return {
        key: DIMENSIONS[key].words[bisect_right(HOFSTEDE_CUTS, score)]
        for key, score in scores.items()
        if score is not None
    }


def map_words(coordinates: InglehartWelzel) -> tuple[str, str]:
    """Return the words for survival to self-expression and for traditional to secular."""
    expression = bisect_right(SELF_EXPRESSION_CUTS, coordinates.survival_self_expression)
    secular = bisect_right(SECULAR_CUTS, coordinates.traditional_secular)
    return SELF_EXPRESSION_WORDS[expression], SECULAR_WORDS[secular]


def describe(culture: Culture) -> list[str]:
    """Return plain English sentences that put the culture's numbers into words, for a prompt.

    The map comes first, then the Hofstede dimensions in their order, then a reminder that these are
    averages. What has no number is left out; a culture without any number gives an empty list.
    """
    sentences = []
    if culture.inglehart_welzel is not None:
        sentences += _map_sentences(culture.demonym, culture.inglehart_welzel)
    for key, word in hofstede_words(culture.hofstede).items():
        dimension = DIMENSIONS[key]
        high = word in dimension.words[2:]
        verb, meaning = (dimension.high_verb, dimension.high) if high else ("is", dimension.low)
        sentences.append(
            f"On {dimension.topic}, {culture.demonym} society {verb} {word}: {meaning}."
        )
    return [*sentences, _CAVEAT] if sentences else []


def _map_sentences(demonym: str, coordinates: InglehartWelzel) -> list[str]:
    expression, secular = map_words(coordinates)
    degree, pole = expression.split()
    extent, side = secular.split()
    return [
        f"In values surveys, {demonym} answers lean {_DEGREES[degree]} towards {pole}:"
        f" {_POLES[pole]}.",
        f"They are {'very' if extent == 'uttermost' else extent} {side}: {_POLES[side]}.",
    ]
