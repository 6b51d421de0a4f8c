"""The critic in the loop: judges the draft of an act before the others perceive it.

Invariant: a draft that could not be judged is neither accepted nor refused by anybody; it is kept
as it came, and the failure is on record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from pydantic import Field

from agents.actor import Asked, ReplyForm
from agents.conversation import Conversation, Line, Person, Shared
from agents.critics.critic import asked_as
from agents.critics.detector import DETECTORS
from agents.models.base import Model, Sampling
from agents.reply import Act, Unreadable, read_object
from agents.role_view import RoleView
from agents.template import load_template
from folkways.settings import ModelName, Settings
from folkways.text import sound
from simulation.episode.scene_state import SceneState

_SEEN = 30
"""How many earlier acts the detectors compare a draft with."""
_HIGHEST = 10
"""Best score of a draft."""
_UNFIT = "too-short"
"""A detector that says nothing about a single act: a short answer may be a good one."""
_FEEDBACK = {
    "repetition": "It repeats what was said before; say something new.",
    "echo": "It gives back the other's words; answer them instead.",
    "speaks-for-others": "It speaks for somebody else; say only your own words.",
    "wrong-language": "It is in another language than yours.",
    "secret-leak": "It gives your secret away.",
    "meta-talk": "Stay in the scene; there is no machine in it.",
}
"""What a role is told when a detector sends its draft back."""
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "feedback": {"type": "string"},
        "score": {"type": "integer", "minimum": 0, "maximum": _HIGHEST},
        "label": {"type": "string", "enum": ["accept", "revise"]},
    },
    "required": ["feedback", "score", "label"],
    "additionalProperties": False,
}


class InLoopConfig(Settings):
    """The critic in the loop."""

    critics: tuple[Literal["detectors", "model"], ...] = Field(("detectors", "model"), min_length=1)
    """Who looks at a draft: the detectors, which cost no call, then a model."""
    model: ModelName | None = None
    """The model that judges; null: the one that plays."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of its engine, where it is not the one that plays."""
    rewrites: int = Field(default=2, ge=1, le=10)
    """How often an act may be sent back."""
    max_tokens: int = Field(default=160, ge=16)
    """Completion tokens of one judgement."""

    def sampling(self) -> Sampling:
        """Return the sampling of judgements."""
        return Sampling(0.0, 1.0, 0.0, 1.0, self.max_tokens)


@dataclass(frozen=True, slots=True)
class DraftCritic:
    """The critic in the loop with the model it asks."""

    config: InLoopConfig
    model: Model
    form: ReplyForm

    def ask(self, stage: SceneState, role: str, act: Act) -> Asked | None:
        """Return the question about a draft; None where no model is to be asked."""
        if "model" not in self.config.critics:
            return None
        view = stage.actors[role].view
        text = load_template("draft").ask(
            view, stage.public_lines(role=role), _shown(stage, view, act)
        )
        return asked_as(text, _SCHEMA, self.form)

    def detect(self, stage: SceneState, role: str, act: Act) -> str | None:
        """Return what a detector has against a draft, if one has and the detectors are asked."""
        if "detectors" not in self.config.critics or not act.text or act.action == "non-verbal":
            return None
        talk = scene_with(stage, role, act)
        person = next(person for person in talk.people if person.role == role)
        spoken = [line for line in talk.turns if line.role == role and line.words]
        for name, (faulty, _) in DETECTORS.items():
            if name != _UNFIT and spoken[-1] in faulty(talk, person, spoken):
                return _FEEDBACK[name]
        return None


class DraftVerdict(NamedTuple):
    """What the critic in the loop said of one draft."""

    label: str | None
    """accept or revise; null where the judgement failed."""
    score: int | None
    """0 to 10."""
    feedback: str
    failure: str | None = None


ACCEPTED = DraftVerdict("accept", _HIGHEST, "")


def read_draft_verdict(reply: str) -> DraftVerdict:
    """Read a judgement; one that cannot be read has a failure and no label."""
    try:
        value = read_object(reply, ("label", "score"))
    except Unreadable as error:
        return DraftVerdict(None, None, str(error), "parse-failure")
    label, score, feedback = value.get("label"), value.get("score"), value.get("feedback")
    known = label in ("accept", "revise") and isinstance(feedback, str)
    if not known or type(score) is not int or not 0 <= score <= _HIGHEST:
        return DraftVerdict(None, None, "label, score or feedback is missing", "out-of-scale")
    return DraftVerdict(str(label), score, " ".join(sound(str(feedback)).split()))


def _shown(stage: SceneState, view: RoleView, act: Act) -> str:
    line: dict[str, Any] = {
        "kind": "turn",
        "name": view.name,
        "action": act.action,
        "text": act.text,
        "to": [stage.names[role] for role in act.to],
        "whisper": act.whisper,
    }
    return load_template("script").line(line)


def scene_with(stage: SceneState, role: str, act: Act) -> Conversation:
    """Return the latest acts of a scene with the draft as the last of them."""
    scene = stage.scenario
    public = (
        scene.setting,
        *(part.brief for part in scene.roles.values()),
        *(part.goal for part in scene.roles.values() if part.public_goal),
        *(event.text for event in scene.events),
        *(phase.brief for phase in scene.phases if phase.brief),
    )
    lines = [
        Line(
            turn["turn"],
            turn["speaker"],
            stage.names[turn["speaker"]],
            turn["action"],
            turn["text"],
            audience=tuple(turn["audience"]),
        )
        for turn in stage.turns[-_SEEN:]
    ]
    number = len(stage.turns) + 1
    audience = tuple(stage.audience(role, act.to, act.whisper))
    name = stage.names[role]
    lines.append(Line(number, role, name, act.action, act.text, audience=audience))
    views = {name: actor.view for name, actor in stage.actors.items()}
    people = tuple(_person(name, view, stage) for name, view in views.items())
    culture = views[role].culture
    return Conversation("", scene.title, scene.setting, culture, public, people, tuple(lines))


def _person(role: str, view: RoleView, stage: SceneState) -> Person:
    persona = view.persona
    language = stage.scenario.roles[role].language or stage.language
    shared = tuple(
        Shared(team.secret, team.roles)
        for team in stage.scenario.teams_of(role).values()
        if team.secret
    )
    return Person(
        role, view.name, persona.age, persona.occupation, persona.place, view.culture, language,
        view.brief, persona.background, view.goal, view.secret, shared,
    )  # fmt: skip
