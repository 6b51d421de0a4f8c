"""An actor: one role's append-only record of what it was told and perceived, from which every
prompt is made.

Invariant: the same view and the same perceived entries give the same prompt, byte for byte, so any
prompt can be rebuilt from the log and checked against its hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from agents.models.base import Message, Prompt, digest, prompt_hash
from agents.offer import WorldCue, with_offers
from agents.reply import Act, act_schema, read_json, read_script
from agents.role_view import RoleView
from agents.template import Template, load_template
from agents.thought import opening_of, said_after, with_thought

ReplyForm = Literal["json", "script"]
Hearing = Literal["all", "some", "addressed", "nobody"]


class Moment(NamedTuple):
    """What has come of the scene since a role last acted, as it perceived it."""

    heard: tuple[str, str] | None
    """Who spoke last, and the words."""
    waiting: tuple[str, ...]
    """Names of those who spoke to the role and have had no answer."""
    happened: tuple[str, ...]
    """Events, entrances and exits."""
    said: str | None
    """The role's own last words."""


class Cue(NamedTuple):
    """What a role is told at the moment of its turn."""

    left: int
    """Turns left in the scene, this one included."""
    acts: tuple[str, ...]
    """Acts that are allowed."""
    present: tuple[str, ...]
    """Names of all who are there, the role's own included."""
    hearing: Hearing = "all"
    """Who will perceive the act: all who are there, some of them, those of them whom the act is
    addressed to, or nobody."""
    hearers: tuple[str, ...] = ()
    """Names of those who can perceive it."""
    moment: Moment | None = None
    """What stands in the prompt for this act alone; the prompts of later acts are without it."""


class Asked(NamedTuple):
    """A prompt with its content hash and, in the form `json`, the schema of its answer."""

    prompt: Prompt
    prompt_hash: str
    schema: dict[str, Any] | None


class Actor(Protocol):
    """What one role brings to the stage; one class per reply form."""

    template: Template
    view: RoleView
    told: str
    """What stands in its prompts before anything has happened."""

    def perceive(self, line: str) -> None:
        """Note a line that the role perceived, its own acts included."""

    def ask(self, cue: Cue, world: WorldCue | None = None, thinks: bool = False) -> Asked:
        """Return the prompt for the role's next act; with `thinks`, for a thought before it. Later
        prompts hold nothing of that.
        """

    def bid(self) -> Asked:
        """Return the prompt that asks how much the role wants to act."""

    def repair(self, asked: Asked, reply: str, problem: str) -> Asked:
        """Return the prompt for a second try after an unreadable reply."""

    def revise(self, asked: Asked, reply: str, feedback: str) -> Asked:
        """Return the prompt for another draft, with what a critic said of this one."""

    def acted(
        self, asked_with: Cue, entry: Mapping[str, Any], line: str, world: WorldCue | None = None
    ) -> None:
        """Note the role's own act, and the line others perceived of it, made when it was asked with
        this cue.
        """

    def read(self, reply: str, names: Mapping[str, str], acts: Sequence[str]) -> Act:
        """Read a reply as an act; raises Unreadable."""


_BID_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"bid": {"type": "integer", "minimum": 0, "maximum": 10}},
    "required": ["bid"],
    "additionalProperties": False,
}


class _ScriptActor:
    """The scene as a play that ends in the role's name and is continued by one line."""

    def __init__(self, role: str, view: RoleView) -> None:
        self.role, self.view, self.template = role, view, load_template("script")
        self.told = self.template.header(view)
        self._body = self.told + "\n"
        self._hash = hashlib.sha256(self._body.encode())

    def perceive(self, line: str) -> None:
        line += "\n"
        self._body += line
        self._hash.update(line.encode())

    def ask(self, cue: Cue, world: WorldCue | None = None, thinks: bool = False) -> Asked:
        tail: str = self.template.cue(self.view, *cue)
        told, opening = (world.text, world.opening) if world else ("", "")
        if thinks:
            tail, opening = load_template("thought").script(self.view) + tail, opening_of()
        return self._ending(f"{told}{tail}{opening}", None)

    def bid(self) -> Asked:
        return self._ending(self.template.bid(self.view), _BID_SCHEMA)

    def repair(self, asked: Asked, reply: str, problem: str) -> Asked:
        assert isinstance(asked.prompt, str)
        prompt = said_after(asked.prompt, reply)
        return Asked(prompt, prompt_hash(prompt), None) if prompt else asked

    def revise(self, asked: Asked, reply: str, feedback: str) -> Asked:
        assert isinstance(asked.prompt, str)
        thinks = opening_of() if asked.prompt.endswith(opening_of()) else ""
        before = asked.prompt if "]" in reply else asked.prompt.removesuffix(opening_of())
        note = self.template.revise(self.view, " ".join(reply.split()), feedback)
        prompt = f"{before}{note}{thinks}"
        return Asked(prompt, prompt_hash(prompt), None)

    def acted(
        self, asked_with: Cue, entry: Mapping[str, Any], line: str, world: WorldCue | None = None
    ) -> None:
        self.perceive(line)

    def read(self, reply: str, names: Mapping[str, str], acts: Sequence[str]) -> Act:
        return read_script(reply, self.role, names, acts)

    def _ending(self, tail: str, schema: dict[str, Any] | None) -> Asked:
        digest = self._hash.copy()
        digest.update(tail.encode())
        return Asked(self._body + tail, digest.hexdigest()[:16], schema)


class _JsonActor:
    """A chat in which the role answers with one structured act; what others did since is one user
    message.
    """

    def __init__(self, role: str, view: RoleView) -> None:
        self.role, self.view, self.template = role, view, load_template("json")
        self._messages: list[Message] = []
        self._hash = hashlib.sha256()
        self._pending: list[str] = []
        self.told = self.template.header(view)
        self._add({"role": "system", "content": self.told})

    def perceive(self, line: str) -> None:
        self._pending.append(line)

    def ask(self, cue: Cue, world: WorldCue | None = None, thinks: bool = False) -> Asked:
        schema, told = act_schema(cue.acts, cue.hearers), self._cue(cue, world)
        if world and world.offers:
            schema = with_offers(schema, world.offers)
        if thinks:
            schema = with_thought(schema)
            told = f"{told}\n{load_template('thought').json(self.view)}"
        return self._ending(told, schema)

    def _cue(self, cue: Cue, world: WorldCue | None) -> str:
        told: str = self.template.cue(self.view, *cue)
        return f"{world.text}\n{told}" if world else told

    def bid(self) -> Asked:
        return self._ending(self.template.bid(self.view), _BID_SCHEMA)

    def repair(self, asked: Asked, reply: str, problem: str) -> Asked:
        return self._again(asked, reply, self.template.repair(problem))

    def revise(self, asked: Asked, reply: str, feedback: str) -> Asked:
        return self._again(asked, reply, self.template.revise(feedback))

    def acted(
        self, asked_with: Cue, entry: Mapping[str, Any], line: str, world: WorldCue | None = None
    ) -> None:
        self._add(self._user(self._cue(asked_with, world)))
        reply = entry.get("act") or {key: entry[key] for key in ("action", "to", "whisper")} | {
            "text": entry["text"] or ""
        }
        self._add({"role": "assistant", "content": json.dumps(reply, ensure_ascii=False)})
        self._pending = []

    def read(self, reply: str, names: Mapping[str, str], acts: Sequence[str]) -> Act:
        return read_json(reply, self.role, names, acts)

    def _again(self, asked: Asked, reply: str, note: str) -> Asked:
        assert not isinstance(asked.prompt, str)
        messages: list[Message] = [
            *asked.prompt,
            {"role": "assistant", "content": reply or "{}"},
            {"role": "user", "content": note},
        ]
        return Asked(messages, prompt_hash(messages), asked.schema)

    def _user(self, tail: str) -> Message:
        return {"role": "user", "content": "\n".join([*self._pending, tail])}

    def _add(self, message: Message) -> None:
        self._messages.append(message)
        digest(self._hash, [message])

    def _ending(self, tail: str, schema: dict[str, Any]) -> Asked:
        last = self._user(tail)
        return Asked([*self._messages, last], digest(self._hash.copy(), [last]), schema)


def new_actor(form: ReplyForm, role: str, view: RoleView) -> Actor:
    """Return an actor of the reply form for a role."""
    return _ScriptActor(role, view) if form == "script" else _JsonActor(role, view)
