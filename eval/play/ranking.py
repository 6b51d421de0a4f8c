"""Next-line ranking: whether an answer is likelier after what was really said before it.

Invariant: every answer is scored after the true line and after three others in the same words
around; only the line differs, so the answer's own likelihood cancels out.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from agents.conversation import Line
from agents.models.base import Model
from eval.play.measure import Count, Scene
from scenarios.words import one_line

OTHERS = 3
"""Lines that the true one is ranked against."""
_ANSWER_WORDS = 12
"""Words of an answer that are scored: later ones go on from its own beginning."""


class _Pair(NamedTuple):
    before: Line
    answer: Line


async def rank_answers(
    scenes: Sequence[Scene], model: Model, most: int, seed: int
) -> dict[str, Count]:
    """Return by episode how many of up to `most` answers are likeliest after the true line.

    The others are lines of people other than who answers, first of the same scene, then of other
    scenarios. A tie counts for its share. Raises ScoresUnavailable where the engine gives no
    log-probabilities.
    """
    found: dict[str, Count] = {}
    for scene in scenes:
        rng = random.Random(f"{seed}:{scene.scenario_id}:{scene.culture_id}:{scene.replicate}")
        pairs = _pairs(scene)
        chosen = sorted(rng.sample(range(len(pairs)), min(most, len(pairs))))
        won = [await _share_won(scenes, scene, pairs[n], model, rng) for n in chosen]
        known = [one for one in won if one is not None]
        found[scene.episode_id] = (sum(known), len(known))
    return found


def _pairs(scene: Scene) -> list[_Pair]:
    spoken = [line for line in scene.talk.turns if line.words]
    return [_Pair(one, two) for one, two in pairwise(spoken) if one.role != two.role]


async def _share_won(
    scenes: Sequence[Scene], scene: Scene, pair: _Pair, model: Model, rng: random.Random
) -> float | None:
    """Return 1 where the true line is first, its share of a tie, or None for want of others."""
    true = one_line(pair.before.text or "")
    others = _others(scenes, scene, pair, rng)
    if len(others) < OTHERS:
        return None
    answer = " " + " ".join(one_line(pair.answer.text or "").split()[:_ANSWER_WORDS])
    prompts = [f"{pair.before.name}: {line}\n{pair.answer.name}:" for line in (true, *others)]
    scores = [one[0] for one in await asyncio.gather(*(model.score(p, [answer]) for p in prompts))]
    best = max(scores)
    return 1 / scores.count(best) if scores[0] == best else 0.0


def _others(scenes: Sequence[Scene], scene: Scene, pair: _Pair, rng: random.Random) -> list[str]:
    """Return lines to rank against, all different from the true one and from each other."""

    def lines(of: Sequence[Scene]) -> list[str]:
        found = [
            one_line(line.text or "")
            for one in of
            for line in one.talk.turns
            if line.words
            and line is not pair.before
            and (one is not scene or line.role != pair.answer.role)
        ]
        rng.shuffle(found)
        return found

    elsewhere = [one for one in scenes if one.scenario_id != scene.scenario_id]
    some = dict.fromkeys([*lines([scene]), *lines(elsewhere)])
    some.pop(one_line(pair.before.text or ""), None)
    return list(some)[:OTHERS]
