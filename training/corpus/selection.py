"""Which episodes a corpus is made of, and how many rows the others would have given.

Invariant: of several attempts at the same content only the latest is looked at; what keeps an
episode out is a name in REASONS.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb

from folkways.errors import UserError, unknown_name
from simulation.review.funnel import fates_of
from training.corpus.config import NO_POLICY, CorpusConfig
from training.corpus.ledger import FATES, Ledger
from training.corpus.preference import TASK as PREFERENCE
from training.corpus.task import TASKS

_UNFILTERED = f"""
create or replace temp view policy_{NO_POLICY} as
select null::varchar as episode_id, null::varchar as outcome, null::varchar as source,
    null::varchar as reason, null::varchar as role, null::integer[] as turns
where false
"""
_ANY = 1_000_000
"""More parties than any scene has."""
_CHOSEN = """
create or replace temp table chosen as
select f.episode_id, f.culture_id, f.fate, coalesce(p.parties, 0) as parties,
    case when coalesce(p.parties, 0) not between $least and $most then 'other-parties'
        when f.fate <> 'accepted' then f.fate end as reason
from chosen_fates f
left join (select episode_id, count(*) as parties from roles group by episode_id) p
    using (episode_id)
"""
_BY_ROLE = "chosen c join roles r using (episode_id)"
_BY_SCENE = "chosen r join chosen c using (episode_id)"
_BY_DRAFT = """
drafts d join turns t using (episode_id, turn)
join roles r on r.episode_id = d.episode_id and r.role = t.speaker
join chosen c on c.episode_id = d.episode_id and not d.kept
"""
_COUNTED = """
select case when $cultures <> [] and not list_contains($cultures, r.culture_id)
    then 'other-culture' else c.reason end as reason, count(*)
from {candidates} group by all
"""
_VISITED = """
select distinct c.episode_id from chosen c join roles r using (episode_id)
where c.reason is null and ($cultures = [] or list_contains($cultures, r.culture_id)
    or list_contains($cultures, c.culture_id))
order by c.episode_id
"""
_KNOWN = """
select distinct culture_id
from (select culture_id from roles union all select culture_id from episodes)
"""
_FETCHED = 5000


def choose_episodes(con: duckdb.DuckDBPyConnection, config: CorpusConfig, ledger: Ledger) -> None:
    """Make the temporary table `chosen` of all episodes, with what keeps each of them out, and
    account for the rows of those.

    Raises UserError for a run without episodes, an unknown policy and an unknown culture.
    """
    if not con.execute("from latest_episodes limit 1").fetchone():
        raise UserError("no episode has been stored in this run yet; folkways run plays them")
    known = [culture for (culture,) in con.execute(_KNOWN).fetchall()]
    for culture in config.cultures:
        if culture not in known:
            raise unknown_name("culture of this run", culture, known)
    if config.policy == NO_POLICY:
        con.execute(_UNFILTERED)
        con.execute(f"create or replace temp view chosen_fates as from fates('{NO_POLICY}')")
        con.execute(f"create or replace temp view chosen_funnel as from funnel('{NO_POLICY}')")
    else:
        fates_of(con, config.policy)
    bounds = {"least": config.min_parties, "most": config.max_parties or _ANY}
    con.execute(_CHOSEN, bounds)
    for task in config.tasks:
        _account(con, config, task, ledger)


def chosen_episodes(con: duckdb.DuckDBPyConnection, config: CorpusConfig) -> Iterator[list[str]]:
    """Yield the ids of the episodes that are chosen, many at a time."""
    cursor = con.execute(_VISITED, {"cultures": list(config.cultures)})
    while found := cursor.fetchmany(_FETCHED):
        yield [episode for (episode,) in found]


def require_accepted(con: duckdb.DuckDBPyConnection, config: CorpusConfig) -> None:
    """Raise UserError where no episode is left, with what became of them and what to do."""
    fates: dict[str, int] = dict(
        con.execute(
            "select fate, count(*) from chosen where reason is distinct from 'other-parties' "
            "group by fate"
        ).fetchall()
    )
    if fates.get("accepted"):
        return
    if not fates:
        raise UserError("no episode of this run has the number of parties asked for")
    counts = ", ".join(f"{fates[fate]} {fate}" for fate in FATES if fate in fates)
    total = sum(fates.values())
    policy = f"the policy {config.policy}"
    if config.policy == NO_POLICY:
        raise UserError(f"none of {total} episodes came to its own end ({counts}); play more")
    advice = (
        "folkways critique RUN judges them"
        if fates.get("unreviewed")
        else ("folkways review RUN shows why")
    )
    raise UserError(
        f"{policy} accepts none of {total} episodes ({counts}); {advice}; --policy chooses another "
        "policy, and --preset no-filter takes every episode that came to its own end"
    )


def _account(
    con: duckdb.DuckDBPyConnection, config: CorpusConfig, task: str, ledger: Ledger
) -> None:
    """Count the rows that a task could have, and those that the choice of episodes leaves out."""
    candidates = _BY_DRAFT if task == PREFERENCE else _BY_ROLE if TASKS[task].by_role else _BY_SCENE
    values: dict[str, Any] = {"cultures": list(config.cultures)}
    for reason, count in con.execute(_COUNTED.format(candidates=candidates), values).fetchall():
        ledger.candidates[task] += count
        if reason is not None:
            ledger.dropped[task, reason] += count
