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
from typing import Any

import duckdb

from agents.reply import Unreadable, read_json, read_script
from agents.role_view import language_name
from scenarios.scenario import ACTIONS
from simulation.store.reader import open_reader
from simulation.store.scenarios import as_stored
from training.corpus.row import Origin

SCENES = """
with wanted as (
    select unnest($episodes::varchar[]) as episode_id, unnest(range(len($episodes))) as place
), people as (
    select r.episode_id, list({
        role: r.role, name: r.name, persona: r.persona_id, culture: r.culture_id,
        language: r.language, age: p.age, occupation: p.occupation, place: p.data ->> '$.place',
        background: p.data ->> '$.background', demonym: coalesce(c.data ->> '$.demonym', c.name)
    } order by r.rowid) as people
    from roles r join personas p using (persona_hash) join cultures c using (culture_hash)
    semi join wanted using (episode_id)
    group by r.episode_id
), acts as (
    select episode_id, list({
        turn: turn, step: step, speaker: speaker, action: action, audience: audience,
        line: readable(action, text, whisper, failure), failed: failure is not null
    } order by turn) as acts
    from turns semi join wanted using (episode_id)
    group by episode_id
), happened as (
    select episode_id, list({
        step: step, after_turn: after_turn, kind: kind, name: name, text: text, audience: audience
    } order by rowid) as happened
    from happenings semi join wanted using (episode_id)
    group by episode_id
), labelled as (
    select episode_id, turn, intent, relevance, expectation
    from intents semi join wanted using (episode_id)
    where $labels and failure is null
    qualify row_number() over (partition by episode_id, turn order by labelled_at desc, model) = 1
), labels as (
    select episode_id, list({
        turn: turn, intent: intent, relevance: relevance, expectation: expectation
    }) as labels
    from labelled group by episode_id
), drafts as (
    select d.episode_id, list({
        turn: d.turn, label: d.label, score: d.score, failed: d.failure is not null,
        kept: d.kept, reply: c.reply, aloud: readable(d.action, d.text, false, null),
        whispered: readable(d.action, d.text, true, null),
        no_act: d.action is null or d.action = 'none'
    } order by d.rowid) as drafts
    from drafts d left join calls c on c.episode_id = d.episode_id and c.call = d.call
    where $drafts and d.episode_id in (from wanted select episode_id)
    group by d.episode_id
)
select e.episode_id, e.scenario_id, e.culture_id, e.language, e.model, e.reply_form,
    s.data as scenario, people, acts, happened, labels, drafts
from wanted join episodes e using (episode_id) join scenarios s using (scenario_hash)
left join people using (episode_id) left join acts using (episode_id)
left join happened using (episode_id) left join labels using (episode_id)
left join drafts using (episode_id)
order by place
"""
"""One row an episode, in the order asked for."""
FETCHED = 200
"""Episodes in memory at once."""
MEMORY = "512MB"
"""What DuckDB may take while it copies episodes out of the store."""
Rows = Sequence[Mapping[str, Any]]


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
    return [*_fetched(con.execute(SCENES, _wanted(episodes, labels, drafts)))]


def copied_scenes(
    run: Path, episodes: Sequence[str], copy: Path, labels: bool, drafts: bool
) -> Iterator[Scene]:
    """Yield what `load_scenes` returns, a few at a time; the store is open only until they have
    been copied to the Parquet file `copy`, which is gone at the end. Episodes that are too much for
    MEMORY are copied in two parts.
    """
    try:
        with closing(open_reader(run, copy, memory=MEMORY)) as con:
            con.sql(SCENES, params=_wanted(episodes, labels, drafts)).write_parquet(str(copy))
    except duckdb.OutOfMemoryException:
        if len(episodes) == 1:
            raise
        half = len(episodes) // 2
        for part in (episodes[:half], episodes[half:]):
            yield from copied_scenes(run, part, copy, labels, drafts)
        return
    with duckdb.connect() as con:
        yield from _fetched(con.execute("from read_parquet(?)", [str(copy)]))
    copy.unlink()


def _wanted(episodes: Sequence[str], labels: bool, drafts: bool) -> dict[str, Any]:
    return {"episodes": list(episodes), "labels": labels, "drafts": drafts}


def _fetched(found: duckdb.DuckDBPyConnection) -> Iterator[Scene]:
    names = [column[0] for column in found.description or ()]
    while rows := found.fetchmany(FETCHED):
        for row in rows:
            named = dict(zip(names, row, strict=True))
            with as_stored(named["episode_id"]):
                scene = _scene(named)
            yield scene


def one_line(text: str) -> str:
    """Return a text with its white space folded, so that it cannot pass for several lines."""
    return " ".join(text.split())


def _scene(row: Mapping[str, Any]) -> Scene:
    """Return the episode of a row of SCENES."""
    setting, briefs, parent = _public(row["scenario"])
    people = tuple(_person(one, briefs[one["role"]]) for one in row["people"] or ())
    names = {person.role: person.name for person in people}
    tried = row["acts"] or ()
    acted = [act for act in tried if not act["failed"] and act["action"] is not None]
    acts = [act for act in acted if act["action"] != "none" and (act["line"] or "").strip()]
    drafts: dict[int, list[Draft]] = {}
    speakers = {act["turn"]: act["speaker"] for act in tried}
    for draft in row["drafts"] or ():
        if draft["turn"] in speakers:
            read = _draft(draft, row["reply_form"], speakers[draft["turn"]], names)
            drafts.setdefault(draft["turn"], []).append(read)
    return Scene(
        row["episode_id"], row["scenario_id"], parent or row["scenario_id"], row["culture_id"],
        row["language"], row["model"], setting, people,
        _entries(acts, row["happened"] or (), names), len(tried) - len(acted),
        len(acted) - len(acts),
        {
            one["turn"]: Label(one["intent"], one["relevance"], one["expectation"])
            for one in row["labels"] or ()
        },
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
        row["role"], row["name"], row["persona"], row["age"], row["occupation"],
        one_line(row["place"]), one_line(row["background"]), brief, row["culture"],
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
    failed = row["failed"]
    return Draft(
        speaker, one_line(line) if line else None, None if failed else row["label"],
        None if failed else row["score"], row["kept"],
    )  # fmt: skip
