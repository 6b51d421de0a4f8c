"""Held-out scenarios: the validation rows, which share no scene with the others, nor any person
unless the configuration says so.

Invariant: a scenario and all its adaptations are on one side, and where people are held out nobody
whose acts are learned plays in a validation row.
"""

from __future__ import annotations

import duckdb

from folkways.errors import UserError
from training.corpus.candidates import draw
from training.corpus.config import CorpusConfig

_FAMILIES = """
select family, count(*) from candidates where reason is null group by family
"""
_MARK = "update candidates set split = 'validation' where list_contains(?, family)"
_HELD_OUT = """
update candidates set reason = 'held-out-person'
where split = 'train' and reason is null and number in (
    select number from (
        select number, unnest(focal) as person from candidates where split = 'train')
    where person in (select unnest(people) from candidates
                     where split = 'validation' and reason is null))
"""
_LEFT = "select count(*) from candidates where split = 'train' and reason is null"


def hold_out(con: duckdb.DuckDBPyConnection, config: CorpusConfig) -> list[str]:
    """Mark the rows of scenarios drawn by the seed until they are the share of all rows that is
    wanted, and drop other rows about people who play in them, unless scenarios alone are held out;
    return the scenarios.

    Raises UserError where nothing would be left to train on.
    """
    share, seed = config.validation, config.seed
    sizes = dict(con.execute(_FAMILIES).fetchall())
    families = choose(sizes, share, seed)
    if not families:
        return []
    if len(families) == len(sizes):
        raise UserError(
            f"a validation share of {share:g} takes all scenarios ({len(sizes)}); lower it, or "
            "export more scenarios"
        )
    con.execute(_MARK, [families])
    if config.hold_out == "scenarios":
        return families
    con.execute(_HELD_OUT)
    if not con.execute(_LEFT).fetchall()[0][0]:
        raise UserError(
            f"a validation share of {share:g} leaves no row for training: everyone plays in one of "
            f"the held-out scenarios ({', '.join(families[:5])}) too. Hold out scenarios alone "
            "(--hold-out scenarios), lower it, or play with more people (cast.source: sampled)"
        )
    return families


def choose(sizes: dict[str, int], share: float, seed: int) -> list[str]:
    """Return the scenarios to hold out, given the rows of each: in an order that depends on the
    seed and the names alone, until the share is reached.
    """
    wanted, chosen, rows = share * sum(sizes.values()), list[str](), 0
    for family in sorted(sizes, key=lambda name: draw(seed, name)):
        if rows >= wanted:
            break
        chosen.append(family)
        rows += sizes[family]
    return chosen
