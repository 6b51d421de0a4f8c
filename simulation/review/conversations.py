"""Stored episodes as conversations for critics and the labeller.

Invariant: a conversation is made from stored data alone, as it was when the episode was played.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import duckdb

from agents.conversation import Conversation, Line, Person, Shared
from folkways.files import parse_json
from scenarios.culture import Culture
from scenarios.persona import Persona
from scenarios.words import one_line
from simulation.store.reader import read_rows
from simulation.store.scenarios import as_stored, read_scenario

Rows = list[dict[str, Any]]


def load_conversations(
    con: duckdb.DuckDBPyConnection, episode_ids: Sequence[str]
) -> dict[str, Conversation]:
    """Return the conversations of episodes that are in the store, by episode id."""
    heads = read_rows(
        con,
        "select e.episode_id, e.culture_id, s.data as scenario, (select any_value(data) from "
        "cultures c where c.culture_id = e.culture_id) as culture "
        "from episodes e join scenarios s using (scenario_hash) where e.episode_id in ?",
        episode_ids,
    )
    cast = by_episode(
        read_rows(
            con,
            "select r.*, p.data as persona, c.data as culture from roles r "
            "join personas p using (persona_hash) join cultures c using (culture_hash) "
            "where r.episode_id in ? order by r.rowid",
            episode_ids,
        )
    )
    turns = by_episode(read_rows(con, "select * from turns where episode_id in ?", episode_ids))
    happened = by_episode(
        read_rows(con, "select * from happenings where episode_id in ? order by rowid", episode_ids)
    )
    found = {}
    for head in heads:
        id_ = head["episode_id"]
        with as_stored(id_):
            names = {row["role"]: row["name"] for row in cast[id_]}
            scenario = read_scenario(head["scenario"], names, list(names))
            people = tuple(_person(row, scenario) for row in cast[id_])
            found[id_] = Conversation(
                id_, one_line(scenario.get("title") or ""), one_line(scenario["setting"]),
                _culture(head["culture"]), _public(scenario), people,
                _lines(turns[id_], happened[id_], {p.role: p.name for p in people}),
            )  # fmt: skip
    return found


def by_episode(rows: Rows) -> defaultdict[str, Rows]:
    """Return rows by the episode they belong to."""
    grouped: defaultdict[str, Rows] = defaultdict(list)
    for row in rows:
        grouped[row["episode_id"]].append(row)
    return grouped


@lru_cache(maxsize=512)
def _culture(data: str) -> Culture:
    return parse_json(data, Culture, "a stored culture")


def _person(row: Mapping[str, Any], scenario: Mapping[str, Any]) -> Person:
    persona = parse_json(row["persona"], Persona, "a stored persona")
    part = scenario["roles"][row["role"]]
    shared = tuple(
        Shared(team["secret"], tuple(team["roles"]))
        for team in (scenario.get("teams") or {}).values()
        if team.get("secret") and row["role"] in team["roles"]
    )
    return Person(
        row["role"], row["name"], persona.age, persona.occupation, persona.place,
        _culture(row["culture"]), row["language"], part["brief"], persona.background,
        row["goal"], row["secret"], shared,
    )  # fmt: skip


def _public(scenario: Mapping[str, Any]) -> tuple[str, ...]:
    texts = [scenario["setting"], *(part["brief"] for part in scenario["roles"].values())]
    known = [part for part in scenario["roles"].values() if part.get("public_goal")]
    texts += [part["goal"] for part in known if part.get("goal")]
    texts += [event["text"] for event in scenario.get("events") or ()]
    return (*texts, *(phase["brief"] for phase in scenario.get("phases") or () if phase["brief"]))


def _lines(turns: Rows, happened: Rows, names: Mapping[str, str]) -> tuple[Line, ...]:
    """Return turns and happenings in one order, what happened after a turn following it."""
    placed = [((row["turn"], 0), _act(row, names)) for row in turns]
    for row in happened:
        text = row["text"]
        if row["kind"] == "entrance":
            text = f"{names[row['name']]} comes in."
        if text is not None:
            placed.append(((row["after_turn"], 1), Line(None, None, None, None, text)))
    return tuple(line for _, line in sorted(placed, key=lambda place: place[0]))


def _act(row: Mapping[str, Any], names: Mapping[str, str]) -> Line:
    return Line(
        row["turn"], row["speaker"], names[row["speaker"]], row["action"], row["text"],
        tuple(names[role] for role in row["addressees"] if role in names), row["whisper"],
        tuple(row["audience"]), row["step"],
    )  # fmt: skip
