"""The choice among drafts of an act, by what detectors see in them.

Invariant: no model is asked; the same scene and drafts give the same choice.
"""

from __future__ import annotations

from agents.critics.act_fault import content_words, faults
from agents.reply import Act
from simulation.episode.draft_critic import DraftVerdict, scene_with
from simulation.episode.scene_state import SceneState

_SOUND, _FAULTY = 7, 6
"""Scores of a draft without a fault, and of one with faults before they are taken off."""
_OFF = 2
"""Points that a fault takes off."""
_TAKES_UP, _TO_GOAL = 2, 1
"""Points for a word of the line just heard, and for one of the own goal that was not said yet."""
_HELD_BACK = "held-back"
"""Fault of an act that the play settings hold back from the role now."""


def judge_draft(stage: SceneState, role: str, act: Act) -> DraftVerdict:
    """Return what detectors say of a draft: `accept` where it has no fault, and a score.

    An act of the world has none. Of drafts without a fault those score higher that take up a word
    of the line just heard, or bring in a word of the role's goal that it has not said yet.
    """
    if act.typed:
        return DraftVerdict("accept", _SOUND, "")
    scene = scene_with(stage, role, act)
    person = next(person for person in scene.people if person.role == role)
    *earlier, line = scene.turns
    found = list(faults(scene, person, line, stage.actors[role].told))
    if act.action not in stage.cue(role).acts:
        found.append(_HELD_BACK)
    if found:
        return DraftVerdict("revise", max(0, _FAULTY - _OFF * len(found)), ", ".join(found))
    own = content_words(act.text)
    heard = [
        one for one in earlier if one.words and one.role != role and role in (one.audience or ())
    ]
    said = content_words(" ".join(one.text or "" for one in earlier if one.role == role))
    score = _SOUND
    score += _TAKES_UP * bool(heard and own & content_words(heard[-1].text))
    score += _TO_GOAL * bool(own & (content_words(person.goal) - said))
    return DraftVerdict("accept", score, "")
