-- Keeps the episodes that a person should read, and drops the clear cases: what the critics are sure to be good, and what
-- they are sure to be bad. A doubt is a verdict without consensus, one that is not sure, or two critics at odds.
with pending as (
    from undecided(['quality', 'meta']) where outcome = 'unreviewed'
), judged as (
    select episode_id, bool_or(doubt is not null or coalesce(confidence = 'not sure', false)) or coalesce(
        bool_or(label in ('bad', 'not-aligned')) and bool_or(label in ('good', 'aligned')), false) as doubtful
    from consensus group by episode_id
)
from pending
union all
select episode_id, 'dropped', 'clear', 'the critics are at one', null, []
from judged where not doubtful and episode_id not in (select episode_id from pending)
