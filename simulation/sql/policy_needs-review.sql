-- Keeps the episodes that a person should read, and drops the clear cases: what the critics are sure to be good, and what
-- they are sure to be bad. A doubt is a verdict without consensus, one that is not sure, or two critics at odds.
with doubtful as (
    select episode_id from consensus where doubt is not null or confidence = 'not sure'
    union
    select episode_id from consensus where label is not null
    group by episode_id having bool_or(label in ('bad', 'not-aligned')) and bool_or(label in ('good', 'aligned'))
)
select episode_id, outcome, source, reason, role, turns from undecided(['quality', 'meta']) where outcome = 'unreviewed'
union all
select episode_id, 'dropped', 'clear', 'the critics are at one', null, []
from latest_episodes
where episode_id in (select episode_id from consensus) and episode_id not in (select episode_id from doubtful)
