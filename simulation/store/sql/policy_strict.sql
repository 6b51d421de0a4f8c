-- Drops whatever any critic objects to, however sure it is, and whatever any detector flags.
from undecided(['quality', 'culture', 'meta', 'social'])
union all
select episode_id, 'dropped', critic, reason, role, turns
from consensus
where label in ('bad', 'not-aligned')
    or (dimension = 'believability' and score < 5)
    or (dimension in ('secret', 'social_rules') and score <= -5)
union all
select episode_id, 'dropped', detector, evidence, role, turns from detections where flagged
