-- The published rule of CLCA (Liu, Korhonen and Gurevych 2025, arXiv 2504.02953): drop what the critic quality or the
-- critic meta calls bad and is very confident of. Verdicts that could not be read are set aside, not passed.
from undecided(['quality', 'meta'])
union all
select episode_id, 'dropped', critic, reason, role, turns
from consensus
where critic in ('quality', 'meta') and label = 'bad' and confidence = 'very confident'
