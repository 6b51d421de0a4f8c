"""An episode read back from the store: who was there, what was done, and who perceived it.

Invariant: everything is as the store has it; an act that failed, that was no act, or that is blank
is counted and is no entry.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import duckdb

from agents.reply import Unreadable, read_json, read_script
from agents.view import language_name
from scenarios.scenario import ACTIONS
from simulation.query import read_rows
from simulation.review.conversations import Rows, by_episode
from training.corpus.row import Origin

HEADS = """
select e.episode_id, e.scenario_id, e.culture_id, e.language, e.model, e.reply_form, s.data
from episodes e join scenarios s using (scenario_hash) where e.episode_id in ?
"""
CAST = """
select r.episode_id, r.role, r.name, r.persona_id, r.culture_id, r.language, p.age, p.occupation,
    p.data ->> '$.place' as place, p.data ->> '$.background' as background,
    coalesce(c.data ->> '$.demonym', c.name) as demonym
from roles r join personas p using (persona_hash) join cultures c using (culture_hash)
where r.episode_id in ? order by r.rowid
"""
TURNS = """
select episode_id, turn, step, speaker, action, readable(action, text, whisper, failure) as line,
    audience, failure
from turns where episode_id in ?
"""
HAPPENINGS = """
select episode_id, step, after_turn, kind, name, text, audience
from happenings where episode_id in ? order by rowid
"""
LABELS = """
select episode_id, turn, intent, relevance, expectation
from intents where failure is null and episode_id in ?
qualify row_number() over (partition by episode_id, turn order by labelled_at desc, model) = 1
"""
DRAFTS = """
select d.episode_id, d.turn, d.draft, d.label, d.score, d.failure, d.kept, c.reply,
    readable(d.action, d.text, false, null) as aloud,
    readable(d.action, d.text, true, null) as whispered,
    d.action is null or d.action = 'none' as no_act
from drafts d left join calls c on c.episode_id = d.episode_id and c.call = d.call
where d.episode_id in ? order by d.rowid
"""


@dataclass(frozen=True, slots=True)
class Person:
    """One member of the cast, as everyone in the scene may know them."""

    role: str
    name: str
    persona: str
    """Id of the persona."""
    age: int
    occupation: str
    place: str
    background: str
    brief: str
    culture: str
    """ISO 3166 alpha-3."""
    demonym: str
    speaks: str | None
    """English name of the language the person speaks; null for English."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An act, or something that happened to the scene."""

    step: int
    """Acts of one step are simultaneous; a happening comes before the acts of its step."""
    line: str
    """On one line: an act in the store's readable form, without the name."""
    audience: frozenset[str]
    """Roles that perceived it, beside the one that acted."""
    turn: int | None = None
    """Number of the act; null for a happening."""
    role: str | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """The intent behind an act."""

    intent: str
    relevance: str
    expectation: str | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft of an act that the critic in the loop looked at."""

    role: str
    line: str | None
    """Readable form; null where the draft cannot be read, or is to do nothing."""
    label: str | None
    score: float | None
    kept: bool

    @property
    def judged(self) -> bool:
        """Whether the critic came to a judgement."""
        return self.label is not None


@dataclass(frozen=True, slots=True)
class Scene:
    """One episode."""

    episode: str
    scenario: str
    family: str
    culture: str
    language: str
    model: str
    setting: str
    people: tuple[Person, ...]
    """In the order of the scenario file."""
    entries: tuple[Entry, ...]
    """In the order in which they happened."""
    failed: int
    """Acts whose call failed."""
    idle: int
    """Acts that were none: the moment was let pass, or nothing was said in it."""
    labels: Mapping[int, Label] = field(default_factory=dict)
    drafts: Mapping[int, tuple[Draft, ...]] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, str]:
        """Role ids with names."""
        return {person.role: person.name for person in self.people}

    @property
    def acts(self) -> tuple[Entry, ...]:
        """The entries that are acts."""
        return tuple(entry for entry in self.entries if entry.turn is not None)

    def origin(self, person: Person | None = None) -> Origin:
        """Return the origin of a row about one person, or about everyone."""
        people = tuple(one.persona for one in self.people)
        culture = person.culture if person else self.culture
        return Origin(
            self.episode, self.scenario, self.family, culture, self.language, self.model,
            len(self.people), people, person.role if person else None,
            person.persona if person else None,
        )  # fmt: skip


def load_scenes(
    con: duckdb.DuckDBPyConnection,
    episodes: Sequence[str],
    labels: bool = False,
    drafts: bool = False,
) -> list[Scene]:
    """Return episodes that are in the store, in this order, on request with labels and drafts."""
    heads = {row["episode_id"]: row for row in read_rows(con, HEADS, episodes)}
    cast, turns, happened, told, tried = (
        by_episode(read_rows(con, query, episodes) if wanted else [])
        for query, wanted in (
            (CAST, True), (TURNS, True), (HAPPENINGS, True), (LABELS, labels), (DRAFTS, drafts)
        )
    )  # fmt: skip
    return [
        _scene(heads[id_], cast[id_], turns[id_], happened[id_], told[id_], tried[id_])
        for id_ in episodes
    ]


def one_line(text: str) -> str:
    """Return a text with its white space folded, so that it cannot pass for several lines."""
    return " ".join(text.split())


def _scene(head: Mapping[str, Any], cast: Rows, turns: Rows, happened: Rows, told: Rows,
           tried: Rows) -> Scene:  # fmt: skip
    setting, briefs, parent = _public(head["data"])
    people = tuple(_person(row, briefs[row["role"]]) for row in cast)
    names = {person.role: person.name for person in people}
    acted = [row for row in turns if row["failure"] is None and row["action"] is not None]
    acts = [row for row in acted if row["action"] != "none" and (row["line"] or "").strip()]
    drafts: dict[int, list[Draft]] = {}
    speakers = {row["turn"]: row["speaker"] for row in turns}
    for row in tried:
        if row["turn"] in speakers:
            draft = _draft(row, head["reply_form"], speakers[row["turn"]], names)
            drafts.setdefault(row["turn"], []).append(draft)
    return Scene(
        head["episode_id"], head["scenario_id"], parent or head["scenario_id"],
        head["culture_id"], head["language"], head["model"], setting, people,
        _entries(acts, happened, names), len(turns) - len(acted), len(acted) - len(acts),
        {row["turn"]: Label(row["intent"], row["relevance"], row["expectation"]) for row in told},
        {turn: tuple(some) for turn, some in drafts.items()},
    )  # fmt: skip


@lru_cache(maxsize=512)
def _public(data: str) -> tuple[str, dict[str, str], str | None]:
    """Return what everyone is told, setting and briefs, and the id of the parent scenario."""
    scenario = json.loads(data)
    briefs = {role: one_line(part["brief"]) for role, part in scenario["roles"].items()}
    return one_line(scenario["setting"]), briefs, scenario.get("provenance", {}).get("parent")


def _person(row: Mapping[str, Any], brief: str) -> Person:
    tag: str = row["language"]
    return Person(
        row["role"], row["name"], row["persona_id"], row["age"], row["occupation"],
        one_line(row["place"]), one_line(row["background"]), brief, row["culture_id"],
        row["demonym"], None if tag.split("-")[0] == "en" else language_name(tag),
    )  # fmt: skip


def _entries(acts: Rows, happened: Rows, names: Mapping[str, str]) -> tuple[Entry, ...]:
    """Return acts and happenings in one order, what happened after an act following it."""
    placed = [
        ((row["turn"], 0), Entry(row["step"], one_line(row["line"]), frozenset(row["audience"]),
                                 row["turn"], row["speaker"]))
        for row in acts
    ]  # fmt: skip
    for row in happened:
        text = row["text"]
        if row["kind"] == "entrance":
            text = f"{names[row['name']]} comes in."
        if text is not None and text.strip():
            entry = Entry(row["step"], one_line(text), frozenset(row["audience"]))
            placed.append(((row["after_turn"], 1), entry))
    return tuple(entry for _, entry in sorted(placed, key=lambda place: place[0]))


def _draft(row: Mapping[str, Any], form: str, speaker: str, names: Mapping[str, str]) -> Draft:
    """Return a draft; whether it was whispered stands only in the reply it was read from."""
    line = None
    if not row["no_act"] and row["reply"] is not None:
        read = read_script if form == "script" else read_json
        try:
            whispered = read(row["reply"], speaker, names, ACTIONS).whisper
        except Unreadable:
            pass
        else:
            line = row["whispered"] if whispered else row["aloud"]
    failed = row["failure"] is not None
    return Draft(
        speaker, one_line(line) if line else None, None if failed else row["label"],
        None if failed else row["score"], row["kept"],
    )  # fmt: skip
