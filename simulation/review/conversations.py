"""Stored episodes as conversations for critics and the labeller.

Invariant: a conversation is made from stored data alone, as it was when the episode was played.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import duckdb

from agents.conversation import Conversation, Line, Person, Shared
from folkways.files import parse_json
from scenarios.culture import Culture
from scenarios.words import one_line
from simulation.store.episodes import in_order, read_episodes
from simulation.store.scenarios import as_stored, read_scenario

_CULTURES = """
select culture_id, any_value(data) from cultures group by culture_id
union all select culture_hash, data from cultures
"""
"""Cultures by id and by hash."""
_Row = Mapping[str, Any]


def load_conversations(
    con: duckdb.DuckDBPyConnection, episode_ids: Sequence[str]
) -> dict[str, Conversation]:
    """Return the conversations of episodes that are in the store, by episode id."""
    cultures, found = dict(con.execute(_CULTURES).fetchall()), {}
    for stored in read_episodes(con, episode_ids, "cast", "turns", "happenings"):
        episode, parts, id_ = stored.episode, stored.parts, stored.episode["episode_id"]
        with as_stored(id_):
            names = {row["role"]: row["name"] for row in parts["cast"]}
            scenario = read_scenario(stored.scenario, names, list(names))
            rows = in_order(parts["turns"], parts["happenings"], names)
            lines = (_line(row, names) for row in rows)
            people = tuple(_person(row, scenario, cultures) for row in parts["cast"])
            found[id_] = Conversation(
                id_,
                one_line(scenario.get("title") or ""),
                one_line(scenario["setting"]),
                _culture(cultures[episode["culture_id"]]),
                _public(scenario),
                people,
                tuple(line for line in lines if line.turn or line.text is not None),
            )
    return found


@lru_cache(maxsize=512)
def _culture(data: str) -> Culture:
    return parse_json(data, Culture, "a stored culture")


def _person(row: _Row, scenario: _Row, cultures: Mapping[str, str]) -> Person:
    shared = tuple(
        Shared(team["secret"], tuple(team["roles"]))
        for team in (scenario.get("teams") or {}).values()
        if team.get("secret") and row["role"] in team["roles"]
    )
    return Person(
        row["role"],
        row["name"],
        row["age"],
        row["occupation"],
        row["place"],
        _culture(cultures[row["culture_hash"]]),
        row["language"],
        scenario["roles"][row["role"]]["brief"],
        row["background"],
        row["goal"],
        row["secret"],
        shared,
    )


def _public(scenario: _Row) -> tuple[str, ...]:
    texts = [scenario["setting"], *(part["brief"] for part in scenario["roles"].values())]
    known = [part for part in scenario["roles"].values() if part.get("public_goal")]
    texts += [part["goal"] for part in known if part.get("goal")]
    texts += [event["text"] for event in scenario.get("events") or ()]
    return (*texts, *(phase["brief"] for phase in scenario.get("phases") or () if phase["brief"]))


def _line(row: _Row, names: Mapping[str, str]) -> Line:
    if "turn" not in row:
        return Line(None, None, None, None, row["text"])
    return Line(
        row["turn"],
        row["speaker"],
        names[row["speaker"]],
        row["action"],
        row["text"],
        tuple(names[role] for role in row["addressees"] if role in names),
        row["whisper"],
        tuple(row["audience"]),
        row["step"],
    )
