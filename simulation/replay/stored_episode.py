"""Stored episodes as they were recorded: what they were played under, and every row of their play.

Invariant: everything comes from the store, a few whole episodes at a time; nothing is read from
files that may have changed since.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import duckdb

from agents.actor import ReplyForm
from agents.role_view import Conditioning
from folkways.errors import UserError
from folkways.files import checked, parse_json, parse_yaml
from scenarios.culture import Culture
from scenarios.persona import Persona
from scenarios.scenario import Scenario
from simulation.config import RunConfig
from simulation.episode.play_settings import PlaySettings
from simulation.episode.scene_state import SceneState
from simulation.episode.seats import Company, seat_rules, seated
from simulation.store.episodes import WHOLE, read_episodes
from simulation.store.part import shared_keys
from simulation.store.reader import read_rows
from simulation.store.record import Row

PLAYED = ("episodes", *WHOLE)
"""Tables that hold what is played."""
Tables = Mapping[str, list[Row]]


class Premise(NamedTuple):
    """What an episode is played under, beside its seed."""

    scenario: Scenario
    """With the goals and secrets that the roles have."""
    cast: Mapping[str, Persona]
    told: Mapping[str, Culture]
    """The culture each role is conditioned on."""
    language: str
    form: ReplyForm
    conditioning: Conditioning
    play: PlaySettings
    forms: Mapping[str, ReplyForm]
    """Reply forms of roles that have one of their own."""

    def company(self, culture_id: str) -> Company:
        """Return the scene with those who play it."""
        return Company(self.scenario, self.cast, culture_id)

    def stage(self) -> SceneState:
        """Return the stage before anything has happened."""
        return SceneState(
            self.scenario,
            self.cast,
            {},
            self.language,
            self.form,
            self.conditioning,
            self.told,
            self.play,
            self.forms,
        )


@dataclass(frozen=True, slots=True)
class Sources:
    """Rows that episodes share, by table and key."""

    tables: Mapping[str, Mapping[str, Row]]

    def get(self, table: str, key: str) -> Row:
        """Return a row. Raises UserError where the store lacks it."""
        try:
            return self.tables[table][key]
        except KeyError:
            raise UserError(f"the table {table} has no row '{key}'") from None


@dataclass(frozen=True, slots=True)
class StoredEpisode:
    """One stored episode."""

    tables: Tables
    """Its rows in PLAYED."""
    sources: Sources

    @property
    def config(self) -> RunConfig:
        """The configuration of its run."""
        return _config(self.sources.get("runs", self.row["run_id"])["config"])

    @property
    def config_hash(self) -> str:
        """Hash of that configuration."""
        found: str = self.sources.get("runs", self.row["run_id"])["config_hash"]
        return found

    @property
    def scenario(self) -> Scenario:
        """The scenario as its file had it."""
        return _scenario(self.sources.get("scenarios", self.row["scenario_hash"])["data"])

    @property
    def cultures(self) -> dict[str, Culture]:
        """Cultures of the store by id."""
        found = (_culture(row["data"]) for row in self.sources.tables["cultures"].values())
        return {culture.id: culture for culture in found}

    def premise(self) -> Premise:
        """Return what it was played under; of a branch, what holds after the branching."""
        rows, get = {row["role"]: row for row in self.tables["roles"]}, self.sources.get
        people, told = {}, {}
        for role in self.scenario.roles:
            if role not in rows:
                raise UserError(f"the table roles has no '{role}' of this episode")
            people[role] = _persona(get("personas", rows[role]["persona_hash"])["data"])
            told[role] = _culture(get("cultures", rows[role]["culture_hash"])["data"])
        return Premise(
            with_roles(self.scenario, rows),
            people,
            told,
            self.row["language"],
            self.row["reply_form"],
            self.config.conditioning,
            self.config.play,
            self._forms(people),
        )

    def _forms(self, cast: Mapping[str, Persona]) -> dict[str, ReplyForm]:
        config, shift = self.config, self.row["replicate"]
        company = Company(self.scenario, cast, self.row["culture_id"])
        seats = seated(company, seat_rules(config.seats), shift if config.rotate else 0)
        return {role: config.models[name].settled_form() for role, name in seats.items()}

    @property
    def row(self) -> Row:
        """The row of the table `episodes`."""
        return self.tables["episodes"][0]

    @property
    def branch(self) -> Row | None:
        """The row of the table `branches`, for an episode that has one."""
        return next(iter(self.tables["branches"]), None)

    def last_step(self, turn: int) -> int:
        """Return the step that ends with a turn; 0 for turn 0.

        Raises UserError for a turn that there is not, and for one within a step.
        """
        steps = {row["turn"]: row["step"] for row in self.tables["turns"]}
        id_ = self.row["episode_id"]
        if turn and turn not in steps:
            raise UserError(f"episode {id_} has no turn {turn}; it has {len(steps)}")
        step: int = steps[turn] if turn else 0
        if steps.get(turn + 1) == step:
            ends = [t for t, its in steps.items() if its < step]
            whole = max((t for t, its in steps.items() if its == step), default=turn)
            raise UserError(
                f"turn {turn} of episode {id_} was made at once with others; "
                f"the turns before or after them are {max(ends, default=0)} and {whole}"
            )
        return step


@dataclass(slots=True)
class Book:
    """Stored episodes by id, with those that they branched off from."""

    episodes: dict[str, StoredEpisode] = field(default_factory=dict)

    def __getitem__(self, episode_id: str) -> StoredEpisode:
        if episode_id not in self.episodes:
            raise UserError(f"there is no episode '{episode_id}' in this store")
        return self.episodes[episode_id]


def read_book(con: duckdb.DuckDBPyConnection, episode_ids: Sequence[str]) -> Book:
    """Return episodes of a store, those that are there, and the ones they branched off from."""
    found: dict[str, dict[str, list[Row]]] = {}
    missing = {*episode_ids}
    while missing:
        for episode, parts, *_ in read_episodes(con, sorted(missing), *WHOLE):
            found[episode["episode_id"]] = {"episodes": [episode], **parts}
        parents = {row["parent_id"] for rows in found.values() for row in rows["branches"]}
        missing = parents - found.keys() - missing
    sources = _sources(con, found.values())
    return Book({id_: StoredEpisode(tables, sources) for id_, tables in found.items()})


def _sources(con: duckdb.DuckDBPyConnection, found: Collection[Tables]) -> Sources:
    """Return what the episodes of these rows share with others."""
    heads = [row for tables in found for row in tables["episodes"]]
    roles = [row for tables in found for row in tables["roles"]]
    wanted = {
        "scenarios": sorted({row["scenario_hash"] for row in heads}),
        "personas": sorted({row["persona_hash"] for row in roles}),
    }
    shared: dict[str, dict[str, Row]] = {}
    for table, key in (shared_keys() | {"runs": "run_id"}).items():
        keys = wanted.get(table)
        rows = read_rows(con, f"select * from {table} where $1 is null or {key} in $1", keys)
        shared[table] = {row[key]: row for row in rows}
    return Sources(shared)


def with_roles(scenario: Scenario, changes: Mapping[str, Mapping[str, Any]]) -> Scenario:
    """Return a scenario whose roles have other goals and secrets, where these are given."""
    roles = {
        role: part.model_copy(
            update={
                name: value
                for name, value in changes.get(role, {}).items()
                if name in ("goal", "secret")
            }
        )
        for role, part in scenario.roles.items()
    }
    return scenario if roles == scenario.roles else scenario.model_copy(update={"roles": roles})


@cache
def _config(text: str) -> RunConfig:
    resolved = parse_yaml(text, "the configuration of a stored run")
    resolved.pop("contents", None)
    return checked(resolved, RunConfig, "the configuration of a stored run")


@cache
def _scenario(data: str) -> Scenario:
    return parse_json(data, Scenario, "a stored scenario")


@cache
def _persona(data: str) -> Persona:
    return parse_json(data, Persona, "a stored persona")


@cache
def _culture(data: str) -> Culture:
    return parse_json(data, Culture, "a stored culture")
