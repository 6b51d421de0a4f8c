"""A branch: an episode that shares the beginning of another one and goes on under changes.

Invariant: parent, turn, changes, number, configuration and model decide a branch's id, and parent's
seed, turn, changes and number its seed, so that the same command means the same branches.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, cast

from pydantic import ValidationError

from folkways.errors import UserError, unknown_name
from folkways.provenance import short_hash
from folkways.text import sound
from scenarios.culture import Culture, load_culture
from scenarios.scenario import Role
from scenarios.world.schema import Value
from simulation.config import RunConfig
from simulation.episode.call import derived_seed
from simulation.episode.episode import Episode
from simulation.episode.graph import EpisodeContext, EpisodeState, play
from simulation.replay.branch_world import read_value, set_world
from simulation.replay.scripted_turn import ScriptedTurn, give_turn
from simulation.replay.stored_episode import Premise, StoredEpisode, with_roles
from simulation.store.record import Record

SETTABLE = ("culture", "goal", "secret")
"""What can be changed of a role."""
PARENT = "parent"
"""Endpoint of the calls of the shared beginning: the parent made them."""
_UNPAID = {
    "prompt_tokens": None,
    "cached_tokens": None,
    "completion_tokens": None,
    "cost": None,
    "latency_s": 0.0,
    "attempts": 0,
    "endpoint": PARENT,
}
"""Columns of such calls: nothing was asked again, so that no sum counts anything twice."""
_ROLE_ID = re.compile(r"[a-z][a-z0-9_]*")
_PREFIX = re.compile(r"([^:]{1,120}?) ?: ?(.*)")


@dataclass(frozen=True, slots=True)
class Changes:
    """What is different after the shared turns; nothing: another seed alone."""

    roles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Role to field to value."""
    say: ScriptedTurn | None = None
    world: Mapping[str, Value] = field(default_factory=dict)
    """VARIABLE or VARIABLE.ROLE to its value."""

    def as_json(self) -> str:
        """Return the changes in one canonical form, the column `branches.changes`."""
        data: dict[str, Any] = {}
        if self.roles:
            fields = {f"{r}.{f}": v for r, given in self.roles.items() for f, v in given.items()}
            data["set"] = fields
        if self.say:
            data["say"] = self.say._asdict()
        if self.world:
            data["world"] = dict(self.world)
        return json.dumps(data, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Changes:
        """Return the changes that `as_json` has written."""
        data, roles = json.loads(text), dict[str, dict[str, str]]()
        for key, value in data.get("set", {}).items():
            role, _, name = key.rpartition(".")
            roles.setdefault(role, {})[name] = value
        say = data.get("say")
        turn = ScriptedTurn(say["role"], say["text"]) if say else None
        return cls(roles, turn, data.get("world", {}))


@dataclass(frozen=True, slots=True)
class Branch:
    """One branch to be played."""

    parent: StoredEpisode
    at_turn: int
    number: int
    """From 1, among those of the same kind."""
    changes: Changes
    model: str
    attempt: int = 1

    @property
    def content_hash(self) -> str:
        """Hash of all that decides what happens in it."""
        parts = [
            "branch",
            self.parent.row["episode_id"],
            self.at_turn,
            self.changes.as_json(),
            self.number,
            self.parent.config_hash,
            self.model,
        ]
        return short_hash(json.dumps(parts))

    def episode(self) -> Episode:
        """Return the branch as an episode; scene, culture, language and replicate are its
        parent's."""
        row = self.parent.row
        seed = derived_seed(
            row["seed"], "branch", self.at_turn, self.changes.as_json(), self.number
        )
        return Episode(
            self.content_hash,
            self.parent.scenario,
            row["culture_id"],
            row["language"],
            row["replicate"],
            seed,
            self.attempt,
        )

    def record(self, record: Record) -> Record:
        """Return the record of the episode as that of a branch: with its parent, and with the
        calls of the shared beginning marked as the parent's."""
        row, step = record.episode, self.parent.last_step(self.at_turn)
        calls = [c | (_UNPAID if c["step"] <= step else {}) for c in record.rows["calls"]]
        origin = {
            "episode_id": row["episode_id"],
            "parent_id": self.parent.row["episode_id"],
            "at_turn": self.at_turn,
            "number": self.number,
            "changes": self.changes.as_json(),
        }
        return replace(record, rows=record.rows | {"calls": calls, "branches": [origin]})


def changed(premise: Premise, changes: Changes, cultures: Mapping[str, Culture]) -> Premise:
    """Return the premise under changes; a culture that `cultures` lacks is the shipped one."""
    told = {
        role: cultures.get(given["culture"]) or load_culture(given["culture"])
        for role, given in changes.roles.items()
        if "culture" in given
    }
    scenario = with_roles(premise.scenario, changes.roles)
    return premise._replace(scenario=scenario, told={**premise.told, **told})


def with_model(config: RunConfig, name: str) -> RunConfig:
    """Return a run's configuration for a branch that another model plays, without the options of
    the run's."""
    if name == config.model.name:
        return config
    model = config.model.model_copy(update={"name": name, "options": {}})
    return config.model_copy(update={"model": model, "models": {}, "seats": {}})


async def go_on(
    context: EpisodeContext, start: EpisodeState, changes: Changes | None
) -> EpisodeState:
    """Play on from a state under changes, first what a person gives; return the last state."""
    if changes and changes.world:
        entry = set_world(start["step"], changes.world)
        start = cast(EpisodeState, start | {"log": [*start["log"], entry]})
    if changes and changes.say:
        start = await give_turn(context, start, changes.say)
    return start if start["exit"] else await play(context, start)


def read_changes(sets: Sequence[str], say: str | None, premise: Premise) -> Changes:
    """Return the changes that a user asks for.

    Raises UserError for an unknown role, field or culture, for an empty value, and for a culture
    where no agent is told of its own.
    """
    roles: dict[str, dict[str, str]] = {}
    world: dict[str, Value] = {}
    for text in sets:
        key, equals, value = text.partition("=")
        if equals and key.strip().startswith("world.") and "world" not in premise.scenario.roles:
            place = key.strip().removeprefix("world.")
            if place in world:
                raise UserError(f"--set world.{place} is given twice")
            world[place] = read_value(premise.scenario, place, value.strip())
            continue
        role, dot, name = key.strip().partition(".")
        if not equals or not dot:
            raise UserError(
                f"--set '{text:.80}' is not of the form ROLE.FIELD=VALUE or world.NAME=VALUE"
            )
        if role not in premise.scenario.roles:
            raise unknown_name("role", role, premise.scenario.roles)
        if name not in SETTABLE:
            raise UserError(f"--set {role}.{name}: allowed are {', '.join(SETTABLE)}")
        if name in roles.get(role, {}):
            raise UserError(f"--set {role}.{name} is given twice")
        roles.setdefault(role, {})[name] = _value(role, name, sound(value).strip(), premise)
    return Changes(roles, None if say is None else _read_say(say, premise), world)


def _value(role: str, name: str, value: str, premise: Premise) -> str:
    if not value:
        raise UserError(f"--set {role}.{name}: the value is empty")
    if name == "culture":
        if premise.conditioning == "none":
            raise UserError(
                f"--set {role}.culture would change nothing: the run has conditioning none, so "
                "nobody is told of a culture"
            )
        return load_culture(value).id
    part = premise.scenario.roles[role]
    try:
        Role.model_validate(part.model_dump() | {name: value})
    except ValidationError as error:
        raise UserError(f"--set {role}.{name}: {error.errors()[0]['msg']}") from error
    return value


def _read_say(text: str, premise: Premise) -> ScriptedTurn:
    """Return the act that a user gives: `ROLE: text`, or the text alone for whoever is next.

    A name before the colon stands for its role. Raises UserError for no words, and for what looks
    like a role and is none.
    """
    text = " ".join(sound(text).split())
    stage, found, role, words = premise.stage(), _PREFIX.fullmatch(text), None, text
    if found:
        before = found[1]
        known = {name.casefold(): role for role, name in stage.names.items()}
        known |= {role: role for role in stage.names}
        role = known.get(before) or known.get(before.casefold())
        near = get_close_matches(before.casefold(), known, 1, 0.75)
        if role is None and (near or _ROLE_ID.fullmatch(before)):
            raise unknown_name("role", before, premise.scenario.roles)
        words = found[2] if role else text
    if not words:
        raise UserError("--say is empty; give the words: --say 'Good evening.'")
    return ScriptedTurn(role, words)
