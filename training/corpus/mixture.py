"""The mixture: how many rows of each task are kept, which ones, and in what order.

Invariant: rows are drawn without replacement, in an order that depends on the seed and on what the
rows say; the smallest task bounds the mixture, unless repeats are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil

import duckdb

from folkways.errors import UserError

_SIZES = """
select split, task, {size}::bigint from candidates where reason is null group by all
"""
_MEASURES = {"examples": "count(*)", "tokens": "sum(tokens)"}
_RUNNING = {"examples": "row_number() over same", "tokens": "sum(tokens) over same"}
"""How far one is, in examples or in tokens, when a row has been taken."""
_MIX = """
insert into kept
select number, copy, split, task, tokens, null,
    row_number() over (partition by split order by md5(draw || '/' || copy), number)
from (
    select *, {running} as taken
    from (
        select c.number, split, task, c.tokens, c.draw, q.quota, unnest(range(q.copies)) as copy
        from candidates c join (
            select unnest(?::varchar[]) as split, unnest(?::varchar[]) as task,
                unnest(?::bigint[]) as quota, unnest(?::bigint[]) as copies
        ) q using (split, task)
        where c.reason is null
    )
    window same as (
        partition by split, task order by copy, draw, number
        rows between unbounded preceding and current row)
)
where taken <= quota
"""
_CUT = """
update kept set reason = 'tokens' where split = 'train' and (number, copy) in (
    select (number, copy) from (
        select number, copy, sum(tokens) over (order by place) as taken from kept
        where split = 'train')
    where taken > ?)
"""


def quotas(
    sizes: Mapping[str, int], weights: Mapping[str, float], repeat: bool = False
) -> dict[str, int]:
    """Return how much to take of each task, in the unit of `sizes`, in the ratio of the weights.

    As much as the smallest task in relation to its weight allows, or with `repeat` the largest.
    """
    exact = {task: Fraction(str(weight)) for task, weight in weights.items()}
    shares = [Fraction(sizes.get(task, 0)) / weight for task, weight in exact.items()]
    scale = max(shares) if repeat and min(shares) else min(shares)
    return {task: int(scale * weight) for task, weight in exact.items()}


def mix(
    con: duckdb.DuckDBPyConnection, weights: Mapping[str, float], by: str, repeat: bool
) -> None:
    """Choose and order the rows of each split; without weights all of them are taken.

    `by` is examples or tokens: what the weights weigh.
    """
    sizes: dict[str, dict[str, int]] = {}
    for split, task, size in con.execute(_SIZES.format(size=_MEASURES[by])).fetchall():
        sizes.setdefault(split, {})[task] = size
    rows = [
        (split, task, quota, max(1, ceil(Fraction(quota, found.get(task) or 1))))
        for split, found in sizes.items()
        for task, quota in (quotas(found, weights, repeat) if weights else found).items()
    ]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
    con.execute(_MIX.format(running=_RUNNING[by]), columns)


def cut(con: duckdb.DuckDBPyConnection, tokens: int) -> None:
    """Drop training rows from the end until the rest takes at most so many tokens.

    Raises UserError where there are fewer, for then corpora would not be of equal size.
    """
    found = con.execute("select sum(tokens) from kept where split = 'train'").fetchall()
    have = int(found[0][0] or 0)
    if have < tokens:
        raise UserError(
            f"the corpus has {have:,} tokens for training, fewer than the {tokens:,} asked for; "
            f"ask for {have:,} at most, or play more episodes"
        )
    con.execute(_CUT, [tokens])
