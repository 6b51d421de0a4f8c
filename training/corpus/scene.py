"""An episode read back from the store: who was there, what was done, and who perceived it.

Invariant: everything is as the store has it; an act that failed, that was no act, or that is blank
is counted and is no entry.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import duckdb

from agents.reply import Unreadable, read_json, read_script
from agents.role_view import language_name
from agents.thought import of_script
from scenarios.scenario import ACTIONS
from simulation.store.episodes import (
    StoredRows,
    copied_episodes,
    copy_query,
    in_order,
    read_episodes,
)
from simulation.store.reader import open_reader
from simulation.store.record import Row
from simulation.store.scenarios import as_stored
from training.corpus.row import Origin

_MEMORY = "512MB"
"""What DuckDB may take while it copies episodes out of the store."""
Rows = Sequence[Row]


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
    thought: str | None = None
    """What was thought with the act, and nobody perceived."""


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
            self.episode,
            self.scenario,
            self.family,
            culture,
            self.language,
            self.model,
            len(self.people),
            people,
            person.role if person else None,
            person.persona if person else None,
        )


def load_scenes(
    con: duckdb.DuckDBPyConnection,
    episodes: Sequence[str],
    labels: bool = False,
    drafts: bool = False,
) -> list[Scene]:
    """Return episodes that are in the store, in this order, on request with labels and drafts."""
    return [*map(_scene, read_episodes(con, episodes, *_parts(labels, drafts)))]


def copied_scenes(
    run: Path, episodes: Sequence[str], copy: Path, labels: bool, drafts: bool
) -> Iterator[Scene]:
    """Yield what `load_scenes` returns, a few at a time; the store is open only until they have
    been copied to the Parquet file `copy`, which is gone at the end. Episodes that are too much for
    MEMORY are copied in two parts.
    """
    parts = _parts(labels, drafts)
    try:
        with closing(open_reader(run, copy, memory=_MEMORY)) as con:
            con.sql(copy_query(*parts), params={"episodes": [*episodes]}).write_parquet(str(copy))
    except duckdb.OutOfMemoryException:
        if len(episodes) == 1:
            raise
        half = len(episodes) // 2
        for some in (episodes[:half], episodes[half:]):
            yield from copied_scenes(run, some, copy, labels, drafts)
        return
    with duckdb.connect() as con:
        found = con.execute("from read_parquet(?)", [str(copy)])
        yield from map(_scene, copied_episodes(found, *parts))
    copy.unlink()


def _parts(labels: bool, drafts: bool) -> list[str]:
    return ["cast", "acts", "happenings", *["labels"] * labels, *["drafted"] * drafts]


def _one_line(text: str) -> str:
    """Return a text with its white space folded, so that it cannot pass for several lines."""
    return " ".join(text.split())


def _scene(stored: StoredRows) -> Scene:
    with as_stored(stored.episode["episode_id"]):
        return _told(stored.episode, stored.scenario, stored.parts)


def _told(row: Row, scenario: str, parts: Mapping[str, Rows]) -> Scene:
    setting, briefs, parent = _public(scenario)
    people = tuple(_person(one, briefs[one["role"]]) for one in parts["cast"])
    names = {person.role: person.name for person in people}
    acted = [act for act in parts["acts"] if not act["failed"] and act["action"] is not None]
    acts = [act for act in acted if act["action"] != "none" and (act["line"] or "").strip()]
    drafts: dict[int, list[Draft]] = {}
    speakers = {act["turn"]: act["speaker"] for act in parts["acts"]}
    for draft in parts.get("drafted", ()):
        if draft["turn"] in speakers:
            read = _draft(draft, row["reply_form"], speakers[draft["turn"]], names)
            drafts.setdefault(draft["turn"], []).append(read)
    ordered = in_order(acts, parts["happenings"], names)
    return Scene(
        row["episode_id"],
        row["scenario_id"],
        parent or row["scenario_id"],
        row["culture_id"],
        row["language"],
        row["model"],
        setting,
        people,
        tuple(_entry(one) for one in ordered if "turn" in one or (one["text"] or "").strip()),
        len(parts["acts"]) - len(acted),
        len(acted) - len(acts),
        {
            one["turn"]: Label(one["intent"], one["relevance"], one["expectation"])
            for one in parts.get("labels", ())
        },
        {turn: tuple(some) for turn, some in drafts.items()},
    )


@lru_cache(maxsize=512)
def _public(data: str) -> tuple[str, dict[str, str], str | None]:
    """Return what everyone is told, setting and briefs, and the id of the parent scenario."""
    scenario = json.loads(data)
    briefs = {role: _one_line(part["brief"]) for role, part in scenario["roles"].items()}
    return _one_line(scenario["setting"]), briefs, scenario.get("provenance", {}).get("parent")


def _person(row: Row, brief: str) -> Person:
    tag: str = row["language"]
    return Person(
        row["role"],
        row["name"],
        row["persona_id"],
        row["age"],
        row["occupation"],
        _one_line(row["place"]),
        _one_line(row["background"]),
        brief,
        row["culture_id"],
        row["demonym"],
        None if tag.split("-")[0] == "en" else language_name(tag),
    )


def _entry(row: Row) -> Entry:
    if "turn" not in row:
        return Entry(row["step"], _one_line(row["text"]), frozenset(row["audience"]))
    audience = frozenset(row["audience"])
    line, thought = _one_line(row["line"]), row["thought"]
    return Entry(row["step"], line, audience, row["turn"], row["speaker"], thought)


def _aloud(reply: str, form: str) -> str:
    """Return a reply without the thought that ends where it closes a bracket of the prompt."""
    thought, closed, _ = reply.partition("]")
    return of_script(reply).act if form == "script" and closed and "[" not in thought else reply


def _draft(row: Row, form: str, speaker: str, names: Mapping[str, str]) -> Draft:
    """Return a draft; whether it was whispered stands only in the reply it was read from."""
    line = None
    if not row["no_act"] and row["reply"] is not None:
        read = read_script if form == "script" else read_json
        try:
            whispered = read(_aloud(row["reply"], form), speaker, names, ACTIONS).whisper
        except Unreadable:
            pass
        else:
            line = row["whispered"] if whispered else row["aloud"]
    failed = row["failed"]
    return Draft(
        speaker,
        _one_line(line) if line else None,
        None if failed else row["label"],
        None if failed else row["score"],
        row["kept"],
    )
