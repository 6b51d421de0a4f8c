-- Who speaks how much? A file holds one statement; folkways schema runs/$name lists views and columns.
select c.title, c.culture_id, t.speaker, count(*) as turns, sum(t.words) as words,
    count(distinct t.episode_id) filter (c.exit_reason = 'walk-away') as walked_away
from turns_readable t
join conversations c using (episode_id)
group by c.title, c.culture_id, t.speaker
order by c.title, c.culture_id, t.speaker;
