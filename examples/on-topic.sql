-- How much of what is said takes up a word of the scene's title or setting, and how much repeats or echoes.
with said as (
    select t.episode_id, lower(t.line) as line, list_filter(
        regexp_extract_all(lower(s.title || ' ' || (s.data->>'$.setting')), '[a-z]{3,}'), lambda word: word not in (
            'about', 'all', 'and', 'are', 'been', 'before', 'but', 'can', 'comes', 'could', 'does', 'for',
            'from', 'had', 'has', 'have', 'her', 'him', 'his', 'into', 'its', 'know', 'left', 'more', 'not',
            'now', 'one', 'only', 'out', 'own', 'same', 'she', 'some', 'still', 'than', 'that', 'the', 'their',
            'there', 'they', 'this', 'too', 'two', 'very', 'was', 'what', 'when', 'where', 'which', 'who',
            'whom', 'with', 'without', 'would', 'you')) as words
    from turns_readable t join (select episode_id, scenario_hash as version from episodes) using (episode_id)
    join scenarios s on s.scenario_hash = version
    where t.action = 'speak'
)
select count(*) as spoken, round(avg(list_has_any(regexp_extract_all(line, '[a-z]{3,}'), words)::int), 2) as on_topic,
    (select round(sum(repeated_turns) / sum(spoken_turns), 2) from repetition) as repeated,
    (select round(sum(echoed_turns) / sum(spoken_turns), 2) from repetition) as echoed
from said
