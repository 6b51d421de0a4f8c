"""Phrases of stop rules that stand inside other words of the scenario, and what to write instead.

Invariant: a scene can be played with such phrases; all findings are warnings.
"""

from __future__ import annotations

from collections.abc import Iterator

from scenarios.parsing.problem import Finding
from scenarios.scenario import Scenario
from scenarios.statement import denial, has_negation, holds
from scenarios.stopping import StopRule


def doubtful_phrases(scene: Scenario) -> Iterator[Finding]:
    """Yield the phrases that others hold or negate, and rules in a language whose negations are not
    known.
    """
    rules = list(scene.rules())
    for path, rule in rules:
        others = {q for _, other in rules if other is not rule for q in other.phrases}
        for number, phrase in enumerate(rule.phrases):
            if found := _doubt(phrase, rule, others, scene):
                yield Finding((*path, "phrases", number), found, severity="warning")
        stated = rule.contrary or rule.whole_line
        if rule.phrases and not stated and not has_negation(scene.language):
            message = (
                f"no words that negate are known for the language '{scene.language}': write not: "
                "[words that say the opposite] or whole_line: true"
            )
            yield Finding((*path, "phrases"), message, severity="warning", key=True)


def _doubt(phrase: str, rule: StopRule, others: set[str], scene: Scenario) -> str | None:
    """Return what is doubtful about a phrase and what to write, or None."""
    stated = {one.casefold() for one in rule.contrary}
    for longer in rule.phrases:
        if longer != phrase and holds(longer, phrase):
            if denial(longer, phrase, scene.language):
                return f"stands inside '{longer}', which says the opposite: write not: [{longer}]"
            return f"stands inside '{longer}', which therefore changes nothing: drop one of the two"
    for longer in sorted(others):
        if longer != phrase and holds(longer, phrase) and longer.casefold() not in stated:
            return f"stands inside '{longer}' of another rule: write not: [{longer}]"
    for offer in rule.offers:
        if holds(offer, phrase) or holds(phrase, offer):
            return f"the offer '{offer}' and this phrase share words: whoever accepts also offers"
    if rule.whole_line:
        return None
    for text in _texts(scene):
        found = denial(text, phrase, scene.language)
        if found and found not in stated:
            return (
                f"stands inside '{found}', as the scenario has it, which does not count: write "
                f"not: [{found}] to say so plainly"
            )
    return None


def _texts(scene: Scenario) -> Iterator[str]:
    """Yield the texts from which agents learn what to say."""
    yield scene.setting
    for role in scene.roles.values():
        yield from filter(None, (role.brief, role.goal, *role.knows))
    yield from filter(None, (phase.brief for phase in scene.phases))
