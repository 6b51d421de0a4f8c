-- A made-up store of any size: getvariable('episodes') episodes of 20 turns, varied and always the same.

create temp table vocabulary as select [
    'the', 'a', 'we', 'you', 'they', 'I', 'my', 'your', 'house', 'tea', 'mother', 'money', 'wedding', 'story', 'again', 'please',
    'never', 'maybe', 'uncle', 'train', 'ticket', 'office', 'boss', 'project', 'late', 'early', 'quiet', 'loud', 'table',
    'guest', 'gift', 'honour', 'shame', 'listen', 'speak', 'leave', 'tomorrow', 'yesterday', 'morning', 'promise',
    'doctor', 'illness', 'school', 'city', 'village', 'field', 'harvest', 'letter', 'phone', 'sorry', 'thank', 'with',
    'and', 'but', 'because', 'would', 'could', 'must', 'not', 'is'] as latin,
    string_split('我你他们说好不是家里母亲钱婚礼故事再请从没也许叔火车票办公室老板晚早安静桌客礼物面子听走明天昨', '') as han;

create temp table people as
    select i::integer as i, 'person-' || i as persona_id, format('{:016x}', hash('persona', i)) as persona_hash
    from range(400) t(i);

insert into runs (run_id, config, config_hash, versions, git_commit, created_at) values ('bench', 'bench: true', 'c0ffee', '{}', null, timestamp '2026-01-01 00:00:00');

create temp table lands as
    select unnest(['CHN', 'DEU', 'GBR', 'MEX', 'JPN', 'BRA', 'ETH', 'IND', 'KEN', 'USA']) as culture_id, unnest(range(10)) as land;
insert into cultures
    select format('{:016x}', hash('culture', land)), culture_id, culture_id, json_object('id', culture_id) from lands;

insert into personas
    select persona_hash, persona_id, 'Person ' || i, 18 + i % 60, ['woman', 'man'][1 + i % 2], 'teacher', 'bachelor', 'town',
           'single', culture_id, json_object(
               'id', persona_id, 'name', 'Person ' || i, 'age', 18 + i % 60, 'gender', ['woman', 'man'][1 + i % 2],
               'pronouns', ['she/her', 'he/him'][1 + i % 2], 'occupation', 'teacher', 'education', 'bachelor',
               'settlement', 'town', 'place', 'a town', 'marital_status', 'single', 'household', 'lives alone',
               'background', 'Grew up in the town and came back to it after the war of words with the school.',
               'traits', json_array('patient', 'proud'), 'culture', culture_id, 'languages', json_array('en'))
    from people join lands on land = i % 10;

insert into scenarios
    select format('{:016x}', hash('scenario', i)), 'scene-' || i, 'Scene ' || i,
           ['family-duty', 'hierarchy-at-work', 'conflict-and-face', 'money-and-favours'][1 + i % 4], 'en', ['bench'],
           json_object(
               'id', 'scene-' || i, 'title', 'Scene ' || i,
               'theme', ['family-duty', 'hierarchy-at-work', 'conflict-and-face', 'money-and-favours'][1 + i % 4],
               'setting', 'A kitchen in the evening before the wedding of the younger daughter.',
               'roles', json_object(
                   'mother', json_object('goal', 'Get what you came for.', 'brief', 'The mother of the house.', 'enters', null),
                   'son', json_object('goal', 'Get what you came for.', 'brief', 'Her grown son.', 'enters', null),
                   'aunt', json_object('goal', 'Get what you came for.', 'brief', 'Her sister.', 'enters', if(i % 6 = 0, 'arrival', null))),
               'relationships', json_array(
                   json_object('between', json_array('mother', 'son'), 'type', 'mother and son', 'closeness', 5, 'status', 2),
                   json_object('between', json_array('mother', 'aunt'), 'type', 'sisters', 'closeness', 4, 'status', 0),
                   json_object('between', json_array('aunt', 'son'), 'type', 'aunt and nephew', 'closeness', 3, 'status', 1)),
               'events', json_array(json_object('id', 'arrival', 'at', 3, 'text', 'There is a knock at the door.')),
               'norms', json_array(json_object('id', 'norm-' || i % 7, 'text', 'Guests eat first.')),
               'provenance', json_object('author', 'bench', 'made', 'generated'))
    from range(24) t(i);

create temp table played as
    select i, format('{:016x}', hash('episode', i)) as episode_id, (i % 24)::integer as scene, ((i // 24) % 10)::integer as land,
           i % 10 = 9 as in_chinese
    from range(getvariable('episodes')) t(i);

insert into episodes
    select episode_id, episode_id, 1, 'bench', 'scene-' || scene, format('{:016x}', hash('scenario', scene)),
           culture_id, if(in_chinese, 'zh', 'en'), i // 240, i,
           ['large', 'small'][1 + i % 2], 'json', if(scene % 5 = 0, 'bidding', 'addressed'),
           ['turn-limit', 'turn-limit', 'agreement', 'walk-away', 'staleness', 'goal-reached', 'error', 'budget'][
               1 + (hash('exit', i) % 8)::integer],
           null, 20, timestamp '2026-01-01 00:00:00' + to_seconds(i), 20, 'dimensions'
    from played join lands using (land) order by i;

insert into roles
    select episode_id, role, persona_hash, persona_id, 'Person ' || people.i, culture_id, culture_hash,
           if(in_chinese, 'zh', 'en'), 'Get what you came for.',
           if(role = 'son', 'You have spent the money for the wedding on a train ticket and a doctor in the city, '
               || 'and your boss in the office must not know of your illness.', null), null
    from played
    cross join (select unnest(['mother', 'son', 'aunt']) as role, unnest([0, 1, 2]) as place)
    join people on people.i = (played.i * 3 + place) % 400
    join lands using (land) join cultures using (culture_id)
    order by played.i, place;

insert into turns (episode_id, turn, step, phase, speaker, action, text, addressees, audience, whisper, failure, call, words)
    select episode_id, turn, turn, null, ['mother', 'son', 'aunt'][1 + who::integer],
           ['speak', 'non-verbal', 'none'][if(dice < 90, 1, if(dice < 97, 2, 3))]::action,
           if(turn > 4 and dice % 20 = 0, 'I think we could leave it at that for now, could we not?',
              if(in_chinese,
                 array_to_string(list_transform(range(8 + length), lambda k: han[1 + (hash(i, turn, k) % len(han))::integer]), ''),
                 array_to_string(list_transform(range(8 + length), lambda k: latin[1 + (hash(i, turn, k) % len(latin))::integer]), ' '))),
           if(dice % 3 = 0, [], [['mother', 'son', 'aunt'][1 + ((who + 1 + dice % 2) % 3)::integer]]),
           if(dice = 50, [['mother', 'son', 'aunt'][1 + ((who + 1 + dice % 2) % 3)::integer]],
              list_filter(['mother', 'son', 'aunt'], lambda role: role <> ['mother', 'son', 'aunt'][1 + who::integer])),
           dice = 50, null, turn, null
    from (select played.*, turn::integer as turn, hash(i, turn, 'who') % 3 as who, hash(i, turn, 'dice') % 100 as dice,
                 (hash(i, turn, 'length') % 16)::integer as length
          from played cross join range(1, 21) t(turn)), vocabulary
    order by i, turn;
update turns set text = 'Forgive me: I have spent the money for the wedding on a train ticket.'
    where speaker = 'son' and action = 'speak' and hash(episode_id, turn, 'leak') % 200 = 0;
update turns set action = null, text = null, addressees = [], audience = [], whisper = false, failure = 'parse-failure'
    where hash(episode_id, turn, 'fail') % 100 = 0;
update turns set words = spoken_words(action, text);

insert into choices (episode_id, step, policy, candidates, chosen, bids, why)
    select episode_id, step, policy, ['mother', 'son', 'aunt'], [speaker],
           if(policy = 'bidding', map {'mother': 6, 'son': (turn % 5)::integer, 'aunt': 5}, null),
           ['spoken to by the mother', 'silent for longest', 'opens the scene'][1 + (hash(episode_id, turn) % 3)::integer]
    from turns join episodes using (episode_id);

insert into happenings
    select episode_id, 3, 2, 'event', 'arrival', 'There is a knock at the door.', ['mother', 'son']
    from played;
insert into happenings
    select episode_id, 3, 2, 'entrance', 'aunt', null, ['mother', 'son'] from played where scene % 6 = 0;

insert into calls (episode_id, call, step, purpose, role, model, template_hash, prompt_hash, seen, seed, prompt_tokens,
    cached_tokens, completion_tokens, latency_s, attempts, cost, finish_reason, failure, reply, endpoint)
    select episode_id, turn, step, 'act', speaker, 'model', 'feedbeef', 'cafe', turn - 1, turn, 400 + 30 * turn,
           400 + 30 * (turn - 1), 25, 1.5, 1, 0.0001, if(failure is null, 'stop', null), failure, text, null
    from turns;
insert into calls (episode_id, call, step, purpose, role, model, template_hash, prompt_hash, seen, seed, prompt_tokens,
    cached_tokens, completion_tokens, latency_s, attempts, cost, finish_reason, failure, reply, endpoint)
    select episode_id, 20 + turn, step, 'repair', speaker, 'model', 'feedbeef', 'cafe', turn - 1, turn, 450 + 30 * turn,
           400 + 30 * turn, 25, 1.5, 1, 0.0001, 'stop', null, 'no', null
    from turns where failure is not null;

insert into verdicts
    select episode_id, null, critic, critic, 0, 'judge',
           if(critic = 'culture', ['aligned', 'not-aligned'], ['good', 'bad'])[1 + (hash(i, critic) % 2)::integer], null,
           ['very confident', 'confident', 'not sure'][1 + (hash(i, critic, 'sure') % 3)::integer], 'Reason.', [1, 2], null,
           timestamp '2026-01-03 00:00:00', null
    from played cross join (select unnest(['quality', 'culture', 'meta']) as critic);

insert into intents
    select episode_id, turn, 'judge', 'Wants to be left alone.', ['generic', 'cultural'][1 + (hash(episode_id, turn, 'r') % 2)::integer],
           if(hash(episode_id, turn, 'r') % 2 = 1, 'The elder is not contradicted.', null), null, timestamp '2026-01-03 00:00:00', null
    from turns where action = 'speak';
