-- Drops only what two critics agree on and are sure of, and what is no conversation between people at all.
from undecided(['quality', 'meta'])
union all
select q.episode_id, 'dropped', 'quality', q.reason, q.role, q.turns
from consensus q
join consensus m using (episode_id)
where q.critic = 'quality' and m.critic = 'meta' and q.label = 'bad' and m.label = 'bad'
    and q.confidence = 'very confident' and m.confidence = 'very confident'
union all
select episode_id, 'dropped', detector, evidence, role, turns
from detections where flagged and detector in ('meta-talk', 'speaks-for-others', 'wrong-language')
