"""Intervals of Krippendorff's alpha, from units drawn again and again.

Invariant: every draw is scored by the same macro as the ratings themselves; the same ratings give
the same interval.
"""

from __future__ import annotations

import duckdb

from simulation.store.locked import quoted

_DRAWS = 400
_FEWEST = 100
"""Draws below which no interval is given: there are too many ratings to draw them so often."""
_ROWS = 4_000_000
"""Ratings in all draws together, at most."""
_UNITS = """
create or replace temp table agreement_units as
select *, row_number() over (partition by run_id, dimension order by unit) as place,
    count(*) over (partition by run_id, dimension) as n
from (
    select coalesce(run_id, '') as run_id, dimension, any_value(culture_id) as culture_id, unit
    from {ratings} where label is not null or score is not null
    group by all having count(*) >= 2
)
"""
_DRAWN = """
create or replace temp table agreement_draws as
select p.dimension, u.culture_id, p.place::varchar as unit, r.rater, r.label, r.score,
    p.run_id || '#' || p.draw as run_id
from (
    select run_id, dimension, place, draw,
        1 + hash(concat_ws(' ', dimension, place, draw)) % n as chosen
    from agreement_units, range(?) draws(draw)
) p
join agreement_units u on (u.run_id, u.dimension, u.place) = (p.run_id, p.dimension, p.chosen)
join {ratings} r
    on (coalesce(r.run_id, ''), r.dimension, r.unit) = (u.run_id, u.dimension, u.unit)
where r.label is not null or r.score is not null
"""
_INTERVALS = """
create or replace temp table agreement_intervals as
select regexp_extract(run_id, '^(.*)#', 1) as run_id, dimension, culture_id,
    quantile_cont(alpha, 0.025) as low, quantile_cont(alpha, 0.975) as high
from krippendorff('agreement_draws') group by all
having min(units) >= 10 and count(distinct alpha) > 1
"""
"""None of fewer than ten units, or where all agree: draws do not know what was not seen."""


def make_intervals(con: duckdb.DuckDBPyConnection, ratings: str) -> None:
    """Make the temporary table agreement_intervals (run_id, dimension, culture_id, low, high): 95 %
    intervals of the alphas of a view of ratings, by bootstrap over units (Efron's percentiles).

    It lacks what has fewer than ten units or nothing but agreement, and is empty where the ratings
    are too many to be drawn `_FEWEST` times.
    """
    con.execute(_UNITS.format(ratings=quoted(ratings)))
    counted = con.execute(f"select count(*) from {quoted(ratings)}").fetchone()
    assert counted is not None
    draws = min(_DRAWS, _ROWS // max(1, counted[0]))
    con.execute(_DRAWN.format(ratings=quoted(ratings)), [draws if draws >= _FEWEST else 0])
    con.execute(_INTERVALS)
