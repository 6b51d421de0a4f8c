"""Stored episodes, read many at a time: of each its row, its scenario, and the parts asked for.

Invariant: rows are as the store has them, in the order of play; a part that nobody asks for is not
read, and of a copy no more than some episodes are in memory at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import duckdb

from simulation.store.record import Row

FETCHED = 200
"""Episodes of a copy in memory at once."""
WHOLE = {
    "roles": "rowid",
    "turns": "turn",
    "happenings": "rowid",
    "choices": "step",
    "drafts": "turn, draft",
    "calls": "call",
    "branches": "number",
    "world": "rowid",
    "decisions": "turn",
    "votes": "rowid",
    "payoffs": "rowid",
}
"""Tables whose rows are parts as they stand, with the order of an episode's rows in them. Of the
calls only those of the play are: those of a review have the step 0."""
_WANTED = """
with wanted as (
    select unnest($episodes::varchar[]) as episode_id, unnest(range(len($episodes))) as place)
"""
_EPISODES = """
{parts} select e.*{columns}, s.title, s.theme, s.data, coalesce(
    (select any_value(name) from cultures c where c.culture_id = e.culture_id), e.culture_id)
from wanted join episodes e using (episode_id) left join scenarios s using (scenario_hash){joins}
order by place
"""
CHOSEN = "semi join wanted using (episode_id)"
CAST = f"""(
    select r.episode_id, r.role, r.name, r.persona_id, r.culture_id, r.culture_hash, r.language,
        r.goal, r.secret, p.age, p.occupation, p.data ->> '$.place' as place,
        p.data ->> '$.background' as background, coalesce(c.name, r.culture_id) as country,
        coalesce(c.data ->> '$.demonym', c.name) as demonym, r.number
    from (select *, rowid as number from roles {CHOSEN}) r
    left join personas p using (persona_hash) left join cultures c using (culture_hash))"""
ACTS = f"""(
    select episode_id, turn, step, speaker, action, audience, failure is not null as failed,
        readable(action, text, whisper, failure) as line, thought
    from turns {CHOSEN})"""
LABELS = f"""(
    select episode_id, turn, intent, relevance, expectation
    from intents {CHOSEN} where failure is null
    qualify row_number() over (partition by episode_id, turn order by labelled_at desc, model) = 1)
"""
DRAFTED = """(
    select episode_id, d.turn, d.label, d.score, d.failure is not null as failed, d.kept, c.reply,
        readable(d.action, d.text, false, null) as aloud,
        readable(d.action, d.text, true, null) as whispered,
        d.action is null or d.action = 'none' as no_act, d.rowid as number
    from drafts d left join calls c using (episode_id, call)
    where episode_id in (from wanted select episode_id))"""
_PARTS = {name: (f"{name} part {CHOSEN}", order) for name, order in WHOLE.items()} | {
    "calls": (f"calls part {CHOSEN} where step > 0", "call"),
    "cast": (f"{CAST} part", "number"),
    "acts": (f"{ACTS} part", "turn"),
    "labels": (f"{LABELS} part", "turn"),
    "drafted": (f"{DRAFTED} part", "number"),
}
"""Parts, each with where from and in which order. The cast are in the order of the scenario file;
of a turn, whichever model labelled it, the latest label counts; acts and drafts come in their
readable form, a draft with the reply that it was read from."""


class StoredRows(NamedTuple):
    """What is stored of an episode."""

    episode: Row
    """Of the table `episodes`."""
    parts: Mapping[str, list[Row]]
    """Those of PARTS that were asked for."""
    title: str
    theme: str
    scenario: str
    """What its file had, as JSON."""
    country: str
    """Name of the culture it was played in."""


def read_episodes(
    con: duckdb.DuckDBPyConnection, episodes: Sequence[str], *parts: str
) -> list[StoredRows]:
    """Return episodes that are in the store, in this order, each with parts of PARTS."""
    given = {"episodes": [*episodes]}
    found: dict[str, dict[str, list[Row]]] = {id_: {part: [] for part in parts} for id_ in episodes}
    for part in parts:
        source, order = _PARTS[part]
        cursor = con.execute(f"{_WANTED} select part.* from {source} order by {order}", given)
        names = [column[0] for column in cursor.description or ()]
        for values in cursor.fetchall():
            row = dict(zip(names, values, strict=True))
            found[row["episode_id"]][part].append(row)
    heads = copied_episodes(con.execute(copy_query(), given))
    return [head._replace(parts=found[head.episode["episode_id"]]) for head in heads]


def copy_query(*parts: str) -> str:
    """Return the query for `$episodes` whose rows, copied to a file, `copied_episodes` reads."""
    tables = columns = joins = ""
    for part in parts:
        source, order = _PARTS[part]
        tables += f", of_{part} as (select episode_id, list(part order by {order}) as found "
        tables += f"from {source} group by episode_id)"
        columns += f", of_{part}.found as {part}_rows"
        joins += f" left join of_{part} using (episode_id)"
    return _EPISODES.format(parts=_WANTED + tables, columns=columns, joins=joins)


def copied_episodes(copied: duckdb.DuckDBPyConnection, *parts: str) -> Iterator[StoredRows]:
    """Yield the episodes that `copy_query` found, a few at a time."""
    names, width = [column[0] for column in copied.description or ()], len(parts) + 4
    while rows := copied.fetchmany(FETCHED):
        for row in rows:
            episode = dict(zip(names[:-width], row, strict=False))
            found = zip(parts, row[-width:-4], strict=True)
            yield StoredRows(episode, {part: its or [] for part, its in found}, *row[-4:])


def in_order(acts: Sequence[Row], happenings: Sequence[Row], names: Mapping[str, str]) -> list[Row]:
    """Return acts and happenings as they came, what happened after an act following it, and the
    text of an entrance in words; `names` are those of the roles."""
    told = [
        row | {"text": f"{names[row['name']]} comes in."} if row["kind"] == "entrance" else row
        for row in happenings
    ]
    return sorted(
        [*acts, *told],
        key=lambda row: (row["turn"], 0) if "turn" in row else (row["after_turn"], 1),
    )
