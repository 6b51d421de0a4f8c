-- Two branches of the dinner after its second turn: in one the son wants something else, in the other a person speaks for
-- the mother. The second was played again, as its first attempt ended in a spent budget.
insert into episodes
    select id, content, b.attempt, run_id, scenario_id, scenario_hash, culture_id, language, replicate, 100, model, reply_form,
           policy, reason, detail, n, started_at - to_minutes(30 - b.attempt), 1.5, conditioning
    from episodes e, (values
        ('abba000000000011', 'abba000000000011', 1, 'turn-limit', '8', 4),
        ('abba000000000012', 'abba000000000012', 1, 'budget', 'budget-tokens', 3),
        ('abba000000000012-2', 'abba000000000012', 2, 'walk-away', 'son', 4)
    ) b(id, content, attempt, reason, detail, n)
    where episode_id = 'aaaa000000000001' order by id;
insert into branches
    select e.episode_id, 'aaaa000000000001', 2, 1, if(e.content_hash like '%11', '{"set": {"son.goal": "Tell the truth."}}',
           '{"say": {"role": "mother", "text": "Stay a while, Kenji."}}')
    from episodes e where e.episode_id like 'abba%' order by e.rowid;
insert into roles
    select b.episode_id, r.* exclude (episode_id, goal, secret, model), coalesce(b.changes -> 'set' ->> (r.role || '.goal'), r.goal),
           r.secret, r.model
    from branches b join roles r on r.episode_id = b.parent_id order by b.episode_id, r.rowid;
insert into turns
    select b.episode_id, t.* exclude (episode_id)
    from branches b join turns t on t.episode_id = b.parent_id and t.turn <= b.at_turn order by b.episode_id, t.turn;
insert into turns (episode_id, turn, step, phase, speaker, action, text, addressees, audience, whisper, failure, call, words)
    select episode_id, turn, turn, 'supper', speaker, action, text, addressees, audience, false, null, call,
           spoken_words(action, text)
    from (values
        ('abba000000000011', 3, 'son', 'speak', 'The boat is sold, mother.', ['mother'], ['mother'], 3),
        ('abba000000000011', 4, 'mother', 'none', null, [], ['son'], 4),
        ('abba000000000012', 3, 'mother', 'speak', 'Stay a while, Kenji.', ['son'], ['son'], 0),
        ('abba000000000012-2', 3, 'mother', 'speak', 'Stay a while, Kenji.', ['son'], ['son'], 0),
        ('abba000000000012-2', 4, 'son', 'leave', 'Good night to you.', ['mother'], ['mother'], 3)
    ) t(episode_id, turn, speaker, action, text, addressees, audience, call);
insert into happenings
    select b.episode_id, h.* exclude (episode_id)
    from branches b join happenings h on h.episode_id = b.parent_id and h.after_turn = 0;
insert into calls (episode_id, call, step, purpose, role, model, template_hash, prompt_hash, seen, seed, prompt_tokens, cached_tokens,
    completion_tokens, latency_s, attempts, cost, finish_reason, failure, reply, endpoint)
    select b.episode_id, call, step, purpose, role, model, template_hash, prompt_hash, seen, seed, null, null, null, 0, 0, null,
           finish_reason, failure, reply, 'parent'
    from branches b join calls c on c.episode_id = b.parent_id and c.step <= b.at_turn order by b.episode_id, call;
insert into verdicts values
    ('abba000000000011', null, 'quality', 'quality', 0, 'judge', 'bad', null, 'confident', 'Blunt.', [3], null,
     timestamp '2026-03-02 10:00:00', null);
