-- A small store that holds one of everything the views tell apart; the tests say what must come out.

insert into runs (run_id, config, config_hash, versions, git_commit, created_at) values ('trial', 'name: trial', 'c0ffee', '{"folkways": "0.1.0"}', null, timestamp '2026-03-01 08:00:00');

insert into cultures values
    ('cul-jpn', 'JPN', 'Japan', '{"id": "JPN"}'),
    ('cul-mex', 'MEX', 'Mexico', '{"id": "MEX"}');

insert into scenarios values
    ('sce-dinner', 'dinner', 'Dinner with the uncle', 'family-duty', 'en', ['kitchen'], '{
        "id": "dinner", "setting": "A small kitchen on a winter evening, the night before the train to the coast.",
        "roles": {
            "mother": {"brief": "The widow who cooked.", "goal": "Keep the peace.", "secret": null, "knows": [], "enters": null},
            "son": {"brief": "Her grown son.", "goal": "Get away without a scene.",
                    "secret": "You have sold your father''s boat to pay the bank in March.",
                    "knows": ["The bank opens at nine."], "enters": null},
            "uncle": {"brief": "Her elder brother.", "goal": "Borrow the boat.", "secret": null, "knows": [], "enters": "knock"}},
        "relationships": [
            {"between": ["mother", "son"], "type": "mother and son", "closeness": 5, "status": 2},
            {"between": ["uncle", "son"], "type": "uncle and nephew", "closeness": 3, "status": 1},
            {"between": ["mother", "uncle"], "type": "sister and brother", "closeness": 4, "status": -1}],
        "phases": [{"id": "supper", "brief": "Supper is on the table."}],
        "events": [{"id": "knock", "text": "There is a knock at the door."}], "norms": [{"id": "elders-first", "text": "Elders speak first."}]}'),
    ('sce-transfer', 'transfer', 'The transfer order', 'hierarchy-at-work', 'en', [], '{
        "id": "transfer", "setting": "A branch office on the last day of the fiscal year.",
        "roles": {
            "boss": {"brief": "The head of the branch.", "goal": "Announce the transfer.", "secret": null, "knows": []},
            "clerk": {"brief": "A clerk of twelve years.", "goal": "Stay in town.",
                      "secret": "You are seeing a doctor every Friday because of your heart.", "knows": []}},
        "relationships": [{"between": ["boss", "clerk"], "type": "superior and subordinate", "closeness": 1, "status": 3}],
        "phases": [], "events": [], "norms": [{"id": "orders", "text": "An order is not discussed."}]}'),
    ('sce-shop', 'shop', 'At the counter', 'money-and-favours', 'zh', [], '{
        "id": "shop", "setting": "一家小店，傍晚，快要关门了。",
        "roles": {
            "owner": {"brief": "店主。", "goal": "卖完。", "secret": "你已经把这家小店卖给了隔壁的面馆老板。", "knows": []},
            "guest": {"brief": "熟客。", "goal": "赊账。", "secret": "You are.", "knows": []}},
        "relationships": [], "phases": [], "events": [], "norms": [{"id": "credit", "text": "Regulars may owe."}]}');

insert into personas
    select 'per-' || id, id, name, age, gender, occupation, 'bachelor', 'town', 'married', culture_id, json_object('id', id)
    from (values
        ('keiko', 'Keiko Mori', 61, 'woman', 'seamstress', 'JPN'), ('kenji', 'Kenji Mori', 29, 'man', 'ferry hand', 'JPN'),
        ('shiro', 'Shiro Oda', 66, 'man', 'retired fisherman', 'JPN'), ('lupe', 'Lupe Díaz', 58, 'woman', 'cook', 'MEX'),
        ('raul', 'Raúl Díaz', 31, 'man', 'welder', 'MEX')
    ) t(id, name, age, gender, occupation, culture_id);

-- What became of each episode is in its id: the views have to find out by themselves.
insert into episodes
    select id, content, attempt, 'trial', scenario, 'sce-' || scenario, culture, language, replicate, 7, model, form, policy,
           exit_reason, exit_detail, turns, timestamp '2026-03-01 08:00:00' + to_minutes(minute), 2.5, 'dimensions'
    from (values
        ('aaaa000000000001', 'aaaa000000000001', 1, 'dinner', 'JPN', 'en', 0, 'fake', 'json', 'addressed', 'turn-limit', null, 8, 10),
        ('bbbb000000000002', 'bbbb000000000002', 1, 'dinner', 'MEX', 'en', 0, 'fake', 'json', 'addressed', 'budget', 'tokens', 1, 1),
        ('bbbb000000000002-2', 'bbbb000000000002', 2, 'dinner', 'MEX', 'en', 0, 'fake', 'json', 'addressed', 'agreement', null, 3, 2),
        ('cccc000000000003', 'cccc000000000003', 1, 'transfer', 'JPN', 'en', 0, 'fake', 'json', 'bidding', 'turn-limit', null, 4, 3),
        ('cccc000000000004', 'cccc000000000004', 1, 'transfer', 'MEX', 'en', 0, 'fake', 'script', 'simultaneous', 'staleness', null, 6, 4),
        ('dddd000000000005', 'dddd000000000005', 1, 'transfer', 'MEX', 'en', 1, 'fake', 'script', 'addressed', 'turn-limit', null, 1, 5),
        ('dddd000000000006', 'dddd000000000006', 1, 'transfer', 'MEX', 'en', 2, 'fake', 'script', 'addressed', 'turn-limit', null, 1, 6),
        ('eeee000000000007', 'eeee000000000007', 1, 'transfer', 'JPN', 'en', 1, 'other', 'json', 'addressed', 'model-failure', null, 2, 7),
        ('eeee000000000008', 'eeee000000000008', 1, 'transfer', 'JPN', 'en', 2, 'other', 'json', 'addressed', 'error',
         'Traceback (most recent call last):' || chr(10) || 'ValueError: no', 0, 8),
        ('ffff000000000009', 'ffff000000000009', 1, 'shop', 'JPN', 'zh', 0, 'fake', 'json', 'addressed', 'walk-away', 'guest', 3, 9)
    ) t(id, content, attempt, scenario, culture, language, replicate, model, form, policy, exit_reason, exit_detail, turns, minute);

insert into roles
    select episode_id, role, persona_hash, persona_id, name, p.culture_id, 'cul-' || lower(p.culture_id), e.language,
           s.data ->> ('$.roles.' || role || '.goal'), s.data ->> ('$.roles.' || role || '.secret'), null
    from episodes e join scenarios s using (scenario_hash)
    join (values
        ('dinner', 'JPN', 'mother', 'keiko', 0), ('dinner', 'JPN', 'son', 'kenji', 1), ('dinner', 'JPN', 'uncle', 'shiro', 2),
        ('dinner', 'MEX', 'mother', 'lupe', 0), ('dinner', 'MEX', 'son', 'raul', 1), ('dinner', 'MEX', 'uncle', 'shiro', 2),
        ('transfer', 'JPN', 'boss', 'keiko', 0), ('transfer', 'JPN', 'clerk', 'kenji', 1),
        ('transfer', 'MEX', 'boss', 'lupe', 0), ('transfer', 'MEX', 'clerk', 'raul', 1),
        ('shop', 'JPN', 'owner', 'keiko', 0), ('shop', 'JPN', 'guest', 'kenji', 1)
    ) c(scenario_id, culture_id, role, persona_id, place) on c.scenario_id = e.scenario_id and c.culture_id = e.culture_id
    join personas p using (persona_id)
    order by e.rowid, place;

insert into turns (episode_id, turn, step, phase, speaker, action, text, addressees, audience, whisper, failure, call, words)
    select episode_id, turn, step, phase, speaker, action, text, addressees, audience, whisper, failure, turn,
           spoken_words(action, text)
    from (values
        ('aaaa000000000001', 1, 1, 'supper', 'mother', 'speak', 'Please eat, Kenji. You must leave early tomorrow.', ['son'], ['son'], false, null),
        ('aaaa000000000001', 2, 2, 'supper', 'son', 'speak', 'Thank you, mother. I am not hungry.', ['mother'], ['mother'], false, null),
        ('aaaa000000000001', 3, 3, 'supper', 'uncle', 'speak', 'Good evening! Is the boat ready?', ['son'], ['mother', 'son'], false, null),
        ('aaaa000000000001', 4, 4, 'supper', 'son', 'speak', 'I sold father''s boat to pay the bank in March.', ['mother'], ['mother'], true, null),
        ('aaaa000000000001', 5, 5, 'supper', 'mother', 'non-verbal', 'puts down the ladle', [], ['son', 'uncle'], false, null),
        ('aaaa000000000001', 6, 6, 'supper', 'uncle', null, null, [], [], false, 'timeout'),
        ('aaaa000000000001', 7, 7, 'supper', 'son', 'speak', 'Thank you, mother. I am not hungry!', ['mother', 'uncle'], ['mother', 'uncle'], false, null),
        ('aaaa000000000001', 8, 8, 'supper', 'uncle', 'leave', 'Good night to you all.', [], ['mother', 'son'], false, null),
        ('bbbb000000000002', 1, 1, 'supper', 'mother', 'speak', 'I sold father''s boat to pay the bank in March.', ['son'], ['son'], false, null),
        ('bbbb000000000002-2', 1, 1, 'supper', 'mother', 'speak', 'Come in and sit down.', [], ['son'], false, null),
        ('bbbb000000000002-2', 2, 2, 'supper', 'son', 'speak', 'Come in and sit down?', ['mother'], ['mother'], false, null),
        ('bbbb000000000002-2', 3, 3, 'supper', 'mother', 'none', null, [], ['son'], false, null),
        ('cccc000000000003', 1, 1, null, 'boss', 'speak', 'You go to Osaka in April.', ['clerk'], ['clerk'], false, null),
        ('cccc000000000003', 2, 2, null, 'clerk', 'speak', 'I am seeing a doctor every Friday, sir.', ['boss'], ['boss'], false, null),
        ('cccc000000000003', 3, 3, null, 'boss', 'speak', 'You go to Osaka in April.', ['clerk'], ['clerk'], false, null),
        ('cccc000000000003', 4, 4, null, 'clerk', 'speak', 'Yes.', ['boss'], ['boss'], false, null),
        ('cccc000000000004', 1, 1, null, 'boss', 'speak', 'We need you in the north.', ['clerk'], ['clerk'], false, null),
        ('cccc000000000004', 2, 1, null, 'clerk', 'speak', 'We need you in the north.', ['boss'], ['boss'], false, null),
        ('cccc000000000004', 3, 2, null, 'boss', 'speak', 'Think about it tonight.', ['clerk'], ['clerk'], false, null),
        ('cccc000000000004', 4, 2, null, 'clerk', 'speak', 'May I ask why?', ['boss'], ['boss'], false, null),
        ('cccc000000000004', 5, 3, null, 'boss', 'speak', 'Think about it tonight.', ['clerk'], ['clerk'], false, null),
        ('cccc000000000004', 6, 3, null, 'clerk', 'none', null, [], ['boss'], false, null),
        ('dddd000000000005', 1, 1, null, 'boss', 'speak', 'Good morning.', ['clerk'], ['clerk'], false, null),
        ('dddd000000000006', 1, 1, null, 'boss', 'speak', 'Good morning.', ['clerk'], ['clerk'], false, null),
        ('eeee000000000007', 1, 1, null, 'boss', null, null, [], [], false, 'server-error'),
        ('eeee000000000007', 2, 2, null, 'clerk', null, null, [], [], false, 'server-error'),
        ('ffff000000000009', 1, 1, null, 'owner', 'speak', '欢迎！今天最后一天。', ['guest'], ['guest'], false, null),
        ('ffff000000000009', 2, 2, null, 'owner', 'speak', '我已经把这家小店卖给了隔壁的面馆老板，真的。', ['guest'], ['guest'], false, null),
        ('ffff000000000009', 3, 3, null, 'guest', 'leave', null, [], ['owner'], false, null)
    ) t(episode_id, turn, step, phase, speaker, action, text, addressees, audience, whisper, failure);

update turns set thought = 'He sold the boat, and I am to say nothing of it.'
    where episode_id = 'aaaa000000000001' and turn = 5;
update turns set thought = 'I sold the boat. She must know.' where episode_id = 'aaaa000000000001' and turn = 2;

insert into happenings values
    ('aaaa000000000001', 1, 0, 'phase', 'supper', 'Supper is on the table.', ['mother', 'son']),
    ('aaaa000000000001', 3, 2, 'event', 'knock', 'There is a knock at the door.', ['mother', 'son']),
    ('aaaa000000000001', 3, 2, 'entrance', 'uncle', null, ['mother', 'son']);

insert into choices (episode_id, step, policy, candidates, chosen, bids, why)
    select episode_id, step, e.policy, any_value(present), list(speaker order by turn),
           case when e.policy = 'bidding' then map {'boss': (9 - step)::integer, 'clerk': (2 + step)::integer} end,
           case when step = 1 then 'opens the scene' when e.policy = 'bidding' then 'highest bid' else 'spoken to' end
    from turns join episodes e using (episode_id)
    join (select episode_id, list(role order by rowid) as present from roles group by episode_id) using (episode_id)
    group by episode_id, step, e.policy order by episode_id, step;
insert into choices (episode_id, step, policy, candidates, chosen, bids, why, fallback) values ('eeee000000000008', 1, 'addressed', ['boss', 'clerk'], ['boss'], null, 'opens the scene', false);

insert into calls (episode_id, call, step, purpose, role, model, template_hash, prompt_hash, seen, seed, prompt_tokens, cached_tokens,
    completion_tokens, latency_s, attempts, cost, finish_reason, failure, reply, endpoint)
    select episode_id, call, step, 'act', speaker, e.model, 'tem-act', 'cafe', turn - 1, turn, 100 + 10 * turn, 90, 20, 0.5, 1,
           if(e.model = 'fake', null, 0.01), if(failure is null, 'stop', null), failure, coalesce(text, failure, 'nothing'),
           null
    from turns join episodes e using (episode_id) order by e.rowid, turn;
insert into calls (episode_id, call, step, purpose, role, model, template_hash, prompt_hash, seen, seed, prompt_tokens, cached_tokens,
    completion_tokens, latency_s, attempts, cost, finish_reason, failure, reply, endpoint) values
    ('aaaa000000000001', 9, 3, 'repair', 'uncle', 'fake', 'tem-act', 'cafe', 2, 3, 150, 100, 20, 0.5, 1, null, 'stop', null, '{}', null),
    ('cccc000000000003', 5, 1, 'bid', 'boss', 'fake', 'tem-bid', 'cafe', 0, 4, 80, null, 2, 0.1, 3, null, 'stop', null, '8', null);

insert into templates values ('tem-act', 'act.jinja', 'Act.'), ('tem-bid', 'bid.jinja', 'Bid.');

insert into verdicts
    select episode_id, null, critic, critic, 0, 'judge', label, null, confidence, reason, turns, failure,
           timestamp '2026-03-02 08:00:00', null
    from (values
        ('aaaa000000000001', 'quality', 'good', 'very confident', 'Natural.', [1], null),
        ('aaaa000000000001', 'culture', 'aligned', 'confident', 'Plausible.', [1, 2], null),
        ('aaaa000000000001', 'meta', 'bad', 'confident', 'Not sure about the end.', [8], null),
        ('bbbb000000000002', 'quality', 'bad', 'very confident', 'Too short.', [], null),
        ('cccc000000000003', 'quality', 'bad', 'very confident', 'Repeats itself.', [3], null),
        ('cccc000000000003', 'meta', 'bad', 'very confident', 'Stiff.', [], null),
        ('cccc000000000004', 'quality', 'good', 'confident', 'Fine.', [], null),
        ('cccc000000000004', 'meta', 'bad', 'very confident', 'Stiff.', [], null),
        ('dddd000000000005', 'quality', null, null, null, [], 'parse-failure'),
        ('dddd000000000005', 'meta', 'good', 'confident', 'Fine.', [], null),
        ('dddd000000000006', 'quality', null, null, null, [], 'parse-failure'),
        ('dddd000000000006', 'quality', 'good', 'confident', 'Fine.', [], null),
        ('dddd000000000006', 'meta', 'good', 'confident', 'Fine.', [], null)
    ) t(episode_id, critic, label, confidence, reason, turns, failure);
insert into verdicts
    select episode_id, role, critic, dimension, sample, 'second', label, score, confidence, 'As I see it too.', turns, failure,
           judged_at, call
    from verdicts where critic = 'quality' and episode_id in ('aaaa000000000001', 'cccc000000000003');

insert into ratings
    select episode_id, role, dimension, annotator, label, score, null, timestamp '2026-03-03 08:00:00' + to_minutes(minute),
        null
    from (values
        ('aaaa000000000001', null, 'quality', 'ann', 'bad', null, 0),
        ('aaaa000000000001', null, 'quality', 'ann', 'good', null, 1),
        ('aaaa000000000001', null, 'quality', 'ben', 'bad', null, 0),
        ('cccc000000000003', null, 'quality', 'ann', 'bad', null, 1),
        ('aaaa000000000001', 'son', 'goal', 'ann', null, 7, 1),
        ('aaaa000000000001', 'son', 'goal', 'ben', null, 5.5, 0)
    ) t(episode_id, role, dimension, annotator, label, score, minute);

insert into intents
    select episode_id, turn, 'judge', intent, relevance, expectation, failure, timestamp '2026-03-02 09:00:00', null
    from (values
        ('aaaa000000000001', 1, 'Wants him to eat.', 'cultural', 'A mother feeds her guests first.', null),
        ('aaaa000000000001', 2, 'Declines politely.', 'generic', null, null),
        ('aaaa000000000001', 3, null, null, null, 'parse-failure'),
        ('aaaa000000000001', 3, 'Asks for the boat.', 'generic', null, null),
        ('aaaa000000000001', 4, null, null, null, 'timeout'),
        ('bbbb000000000002-2', 1, 'Invites in.', 'cultural', 'Hosts invite.', null)
    ) t(episode_id, turn, intent, relevance, expectation, failure);

insert into launches values
    ('trial', timestamp '2026-03-01 08:00:00', timestamp '2026-03-01 08:20:00', 10, 3000, 500, 0.02, 'done', 'run', null);
