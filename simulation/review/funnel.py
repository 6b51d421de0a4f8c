"""The funnel of a run in print: what was simulated, lost, dropped and accepted, and why.

Invariant: everything printed is a query on the store's public views, so a user can ask the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from folkways.errors import UserError, unknown_name
from folkways.text import printable
from simulation.review.agreement import make_intervals
from simulation.review.reliability import judges_told
from simulation.store.part import OBJECTION, POLICIES
from simulation.store.query_gate import check_statement
from simulation.store.reader import read_rows, run_query
from simulation.store.result import print_table

_OWN = "own"
"""Name under which a user's policy is known to one connection."""
_OWN_VIEW = f"""
create or replace temp view policy_{_OWN} as
select {", ".join(f"{name}::varchar as {name}" for name in OBJECTION if name != "turns")},
    turns::integer[] as turns
from own_query
"""
_UNFIT = f"""
select count(*) filter (episode_id is null or source is null or reason is null),
    any_value(coalesce(outcome, 'null')) filter (
        outcome is null or outcome not in ('dropped', 'unreviewed', 'needs-review')),
    count(turns)
from policy_{_OWN}
"""
BY_CULTURE = """
select culture_id, model, sum(simulated)::bigint as simulated, sum(cut_short)::bigint as cut_short,
    sum(dropped)::bigint as dropped, sum(unreviewed)::bigint as unreviewed,
    sum(needs_review)::bigint as needs_review, sum(accepted)::bigint as accepted,
    sum(accepted) / sum(simulated) as accepted_share
from chosen_funnel group by culture_id, model order by culture_id, model
"""
_BY_SCENARIO = """
select scenario_id, culture_id, simulated, endings, cut_short, dropped, dropped_by, unreviewed,
    needs_review, accepted
from chosen_funnel order by scenario_id, culture_id, model
"""
_SOURCES = """
select source, count(*) as episodes
from (select unnest(dropped_by) as source from chosen_fates where fate = 'dropped')
group by source order by episodes desc, source
"""
AGREEMENT = """
select run_id as run, dimension, coalesce(culture_id, 'all') as culture, units, ratings, unanimous,
    alpha
from judge_agreement order by run_id, dimension, culture_id nulls first
"""
_AGREEMENT = """
select a.run_id as run, a.dimension, coalesce(a.culture_id, 'all') as culture, units, ratings,
    unanimous, alpha, low, high
from judge_agreement a left join agreement_intervals i
    on coalesce(a.run_id, '') = i.run_id and a.dimension = i.dimension
    and a.culture_id is not distinct from i.culture_id
order by a.run_id, a.dimension, a.culture_id nulls first
"""
"""With the 95 % intervals that `agreement.make_intervals` made."""
_EXAMPLES = """
select f.episode_id, s.title, f.culture_id, f.fate, f.reasons
from chosen_fates f join latest_episodes s using (episode_id)
where f.fate in ('dropped', 'needs-review')
qualify row_number() over (partition by f.fate, f.dropped_by[1] order by f.episode_id) = 1
order by f.fate, f.episode_id limit ?
"""
_LINES = """
select t.turn, t.name, t.line from turns_readable t
where t.episode_id = ? and t.turn in (
    select unnest(turns) from query_table('policy_' || ?) where episode_id = ?)
order by t.turn limit 4
"""


def choose_policy(con: duckdb.DuckDBPyConnection, policy: str) -> str:
    """Return the name under which a filter policy can be asked for on this connection.

    `policy` is the name of a shipped one or an SQL file whose query returns objections. Raises
    UserError for an unknown name and for a file that is no such query, or returns something else.
    """
    if policy in POLICIES:
        return policy
    query = _policy_text(policy)
    try:
        check_statement(con, query)
        con.execute(f"create or replace temp view own_query as {query}")
        columns = {row["column_name"] for row in read_rows(con, "describe own_query")}
        if missing := [name for name in OBJECTION if name not in columns]:
            raise UserError(f"a policy returns {', '.join(OBJECTION)}; missing: {missing[0]}")
        con.execute(_OWN_VIEW)
        nameless, outcome, _ = con.execute(_UNFIT).fetchall()[0]
    except (UserError, duckdb.Error) as error:
        raise UserError(f"{policy}: {str(error).splitlines()[0]}") from error
    if nameless:
        raise UserError(f"{policy}: an objection has no episode_id, no source or no reason")
    if outcome is not None:
        allowed = "dropped, unreviewed or needs-review"
        raise UserError(f"{policy}: the outcome '{outcome}' is not one of {allowed}")
    return _OWN


def _policy_text(policy: str) -> str:
    path = Path(policy)
    try:
        if path.suffix != ".sql" and not path.is_file():
            raise unknown_name("policy", policy, POLICIES)
        return path.read_text(encoding="utf-8").strip().rstrip(";")
    except FileNotFoundError as error:
        raise UserError(f"there is no policy file '{policy}'") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the policy file '{policy}': {error}") from error


def fates_of(con: duckdb.DuckDBPyConnection, policy: str) -> str:
    """Make the temporary views chosen_fates and chosen_funnel; return the policy's name there."""
    name = choose_policy(con, policy)
    con.execute(f"create or replace temp view chosen_fates as from fates('{name}')")
    con.execute(f"create or replace temp view chosen_funnel as from funnel('{name}')")
    return name


def print_funnel(
    con: duckdb.DuckDBPyConnection, policy: str, examples: int, console: Console, runs: Path
) -> None:
    """Print the funnel under a policy, with examples of what was dropped and why, and how far its
    judges can be trusted by their calibrations among those `runs`.

    Raises UserError as `choose_policy` does, and for a run without episodes.
    """
    if not con.execute("from latest_episodes limit 1").fetchone():
        raise UserError("no episode has been stored in this run yet")
    name = fates_of(con, policy)
    console.print(Text(f"Policy {printable(policy)}", style="bold"))
    print_table(run_query(con, BY_CULTURE), console, None)
    print_table(run_query(con, _BY_SCENARIO), console, 40)
    if con.execute(_SOURCES).fetchone():
        console.print(Text("Dropped by (an episode dropped by two counts for each)", style="bold"))
        print_table(run_query(con, _SOURCES), console, None)
    if con.execute(AGREEMENT).fetchone():
        console.print(Text("Agreement of judges and samples (Krippendorff's alpha)", style="bold"))
        make_intervals(con, "judge_ratings")
        print_table(run_query(con, _AGREEMENT), console, None)
    for told in judges_told(con, runs):
        console.print(Text(printable(f"Judge {told}")), soft_wrap=True)
    for row in read_rows(con, _EXAMPLES, examples):
        _print_example(con, row, name, console)


def _print_example(
    con: duckdb.DuckDBPyConnection, row: dict[str, Any], policy: str, console: Console
) -> None:
    head = f"{row['fate']}: {row['title']} · {row['culture_id']} · {row['episode_id']}"
    console.print(Text(printable(head), style="bold"))
    for reason in row["reasons"][:4]:
        console.print(
            Padding(Text(printable(" ".join(reason.split()))), (0, 0, 0, 2), expand=False)
        )
    for line in read_rows(con, _LINES, row["episode_id"], policy, row["episode_id"]):
        text = f"{line['turn']} {line['name']}: {line['line']}"
        console.print(Padding(Text(printable(text), style="dim"), (0, 0, 0, 4), expand=False))
    console.print()
