-- A small store of version 7: tables as the folkways of that time made them, an episode that it played, a view that it had.

create type action as enum ('speak', 'non-verbal', 'leave', 'none');
create table adapters (adapter varchar primary key, arm varchar not null, culture varchar not null, base varchar not null,
    corpus varchar not null, corpus_hash varchar not null, rows integer not null, tokens bigint not null, learned_tokens
    bigint not null, cut_rows integer not null, steps integer not null, loss_first double, loss_last double, tokens_per_second
    double, seconds double, settings json not null, made_at timestamp not null);
create table branches (episode_id varchar primary key, parent_id varchar not null, at_turn integer not null, number integer not
    null, changes json not null);
create table calls (episode_id varchar not null, call integer not null, step integer not null, purpose varchar not null, role
    varchar, model varchar not null, template_hash varchar not null, prompt_hash varchar not null, seen integer not null, seed
    bigint, prompt_tokens integer, cached_tokens integer, completion_tokens integer, latency_s double not null, attempts
    integer not null, cost double, finish_reason varchar, failure varchar, reply varchar, endpoint varchar);
create table cases (episode_id varchar not null, case_id varchar not null, original varchar not null, fault varchar, note
    varchar);
create table categories (episode_id varchar not null, turn integer not null, taxonomy varchar not null, model varchar not null,
    category varchar, failure varchar, call integer, labelled_at timestamp not null);
create table choices (episode_id varchar not null, step integer not null, policy varchar not null, candidates varchar[] not
    null, chosen varchar[] not null, bids map(varchar, integer), why varchar not null);
create table control_texts (number integer not null, subject varchar not null, model varchar not null, text varchar, problem
    varchar, template_hash varchar not null, prompt_hash varchar not null, seed integer not null, prompt_tokens integer,
    cached_tokens integer, completion_tokens integer, cost double, latency_s double not null, asked_at timestamp not null);
create table cultures (culture_hash varchar primary key, culture_id varchar not null, name varchar not null, data json not
    null);
create table detections (episode_id varchar not null, detector varchar not null, role varchar, value double not null, flagged
    boolean not null, turns integer[] not null, evidence varchar, detected_at timestamp not null);
create table drafts (episode_id varchar not null, turn integer not null, draft integer not null, action action, text varchar,
    call integer not null, label varchar, score double, feedback varchar, critic_call integer, failure varchar, kept boolean
    not null);
create table episodes (episode_id varchar primary key, content_hash varchar not null, attempt integer not null, run_id varchar
    not null, scenario_id varchar not null, scenario_hash varchar not null, culture_id varchar not null, language varchar not
    null, replicate integer not null, seed bigint not null, model varchar not null, reply_form varchar not null, policy
    varchar not null, exit_reason varchar not null, exit_detail varchar, turns integer not null, started_at timestamp not
    null, wall_s double not null);
create table expectations (fault varchar not null, source varchar not null);
create table happenings (episode_id varchar not null, step integer not null, after_turn integer not null, kind varchar not
    null, name varchar not null, text varchar, audience varchar[] not null);
create table intents (episode_id varchar not null, turn integer not null, model varchar not null, intent varchar, relevance
    varchar, expectation varchar, failure varchar, labelled_at timestamp not null, call integer);
create table launches (run_id varchar not null, started_at timestamp not null, ended_at timestamp not null, episodes integer
    not null, prompt_tokens bigint not null, completion_tokens bigint not null, cost double, end_reason varchar not null,
    stage varchar default 'run', settings json);
create table merged_shards (shard_id varchar primary key, work varchar not null, records integer not null, merged_at timestamp
    not null);
create table meta (key varchar primary key, value varchar not null);
create table personas (persona_hash varchar primary key, persona_id varchar not null, name varchar not null, age integer not
    null, gender varchar not null, occupation varchar not null, education varchar not null, settlement varchar not null,
    marital_status varchar not null, culture_id varchar not null, data json not null);
create table ratings (episode_id varchar not null, role varchar, dimension varchar not null, annotator varchar not null, label
    varchar, score double, comment varchar, imported_at timestamp not null);
create table roles (episode_id varchar not null, role varchar not null, persona_hash varchar not null, persona_id varchar not
    null, name varchar not null, culture_id varchar not null, culture_hash varchar not null, language varchar not null, goal
    varchar not null, secret varchar);
create table runs (run_id varchar primary key, config varchar not null, config_hash varchar not null, versions json not null,
    git_commit varchar, created_at timestamp not null, kind varchar default 'run');
create table scenarios (scenario_hash varchar primary key, scenario_id varchar not null, title varchar not null, theme varchar
    not null, language varchar not null, tags varchar[] not null, data json not null);
create table spa_attempts (topic varchar not null, number integer not null, examples varchar[] not null, template_hash varchar
    not null, prompt_hash varchar not null, seed integer not null, reply varchar, outcome varchar not null, question_id
    varchar, duplicates varchar, likeness double, left_out varchar[] not null, finish_reason varchar, prompt_tokens integer,
    cached_tokens integer, completion_tokens integer, cost double, latency_s double not null, asked_at timestamp not null);
create table spa_questions (question_id varchar primary key, topic varchar not null, ask varchar not null, options
    map(smallint, varchar) not null, paraphrases varchar, likeness double not null, created_at timestamp not null);
create table spa_selections (selection_id varchar not null, method varchar not null, reading varchar not null, question_id
    varchar not null, country varchar not null, unaware smallint, aware smallint not null, divergence double, noise double,
    rank integer not null);
create table spa_selection_sets (selection_id varchar primary key, settings json not null, hash varchar not null, created_at
    timestamp not null);
create table survey_conditions (condition_id varchar primary key, model varchar not null, engine varchar not null, method
    varchar not null, leaks boolean not null, style varchar, language varchar not null, readout varchar not null, options json
    not null, wording varchar not null);
create table survey_items (item_id varchar primary key, topic varchar not null, ask varchar not null, scale varchar not null,
    higher varchar);
create table survey_options (item_id varchar not null, code smallint not null, point smallint not null, label varchar not null,
    position double);
create table survey_people (country varchar not null, item_id varchar not null, point smallint not null, share double not null,
    valid double not null, missing double not null);
create table survey_replies (condition_id varchar not null, country varchar not null, respondent_id varchar, item_id varchar
    not null, arrangement smallint not null, sample smallint not null, attempt smallint not null, shown smallint[] not null,
    probabilities double[], mass double, reply varchar, strict smallint, lenient smallint, problem varchar, prompt_hash
    varchar not null, prompt_tokens integer, cached_tokens integer, completion_tokens integer, cost double, copied boolean not
    null, latency_s double not null, asked_at timestamp not null);
create table survey_respondents (respondent_id varchar primary key, country varchar not null, synthetic boolean not null,
    weight double, demographics json not null);
create table survey_truths (respondent_id varchar not null, item_id varchar not null, point smallint not null);
create table templates (template_hash varchar primary key, name varchar not null, text varchar not null);
create table turns (episode_id varchar not null, turn integer not null, step integer not null, phase varchar, speaker varchar
    not null, action action, text varchar, addressees varchar[] not null, audience varchar[] not null, whisper boolean not
    null, failure varchar, call integer not null, words integer);
create table verdicts (episode_id varchar not null, role varchar, critic varchar not null, dimension varchar not null, sample
    integer not null, model varchar not null, label varchar, score double, confidence varchar, reason varchar, turns integer[]
    not null, failure varchar, judged_at timestamp not null, call integer);

insert into calls (episode_id, call, step, purpose, role, model, template_hash, prompt_hash, seen, seed, prompt_tokens, completion_tokens, latency_s, attempts, finish_reason, reply) values
    ('fa2874d287f8dd26', 1, 1, 'act', 'ada', 'fake', '051ae90bb6a34703', '5299a134a1ead867', 0, 2082973687, 313, 29, 0.001, 1, 'stop', '{"action": "speak", "to": ["Bela"], "whisper": false, "text": "Before we go on, tell me how you see it yourself."}'),
    ('fa2874d287f8dd26', 2, 2, 'act', 'bela', 'fake', '051ae90bb6a34703', '1008aa270f0d8e5f', 1, 50061843, 330, 28, 0.001, 1, 'stop', '{"action": "non-verbal", "to": [], "whisper": false, "text": "We could wait until next week and ask again."}'),
    ('fa2874d287f8dd26', 3, 3, 'act', 'ada', 'fake', '051ae90bb6a34703', '2b6048ea9765cc7e', 2, 913021064, 370, 26, 0.001, 1, 'stop', '{"action": "leave", "to": [], "whisper": false, "text": "Give me one good reason and I am with you."}');
insert into cases (episode_id, case_id, original, note) values
    ('e', 'sound', 'sound', 'as it was');
insert into choices (episode_id, step, policy, candidates, chosen, why) values
    ('fa2874d287f8dd26', 1, 'round-robin', ['ada', 'bela'], ['ada'], 'opens the scene'),
    ('fa2874d287f8dd26', 2, 'round-robin', ['ada', 'bela'], ['bela'], 'no bid could be read'),
    ('fa2874d287f8dd26', 3, 'round-robin', ['ada', 'bela'], ['ada'], 'comes after Bela');
insert into episodes (episode_id, content_hash, attempt, run_id, scenario_id, scenario_hash, culture_id, language, replicate, seed, model, reply_form, policy, exit_reason, exit_detail, turns, started_at, wall_s) values
    ('fa2874d287f8dd26', 'fa2874d287f8dd26', 1, 'older', 'scene-2', '4e521d1f9dea885c', 'GBR', 'en', 0, 267530678, 'fake', 'json', 'round-robin', 'turn-limit', '3', 3, '2026-11-30 13:36:17', 0.045);
insert into launches (run_id, started_at, ended_at, episodes, prompt_tokens, completion_tokens, end_reason, stage) values
    ('older', '2026-11-30 13:36:17', '2026-11-30 13:36:17', 1, 1013, 83, 'done', 'run');
insert into meta (key, value) values
    ('application', 'folkways'),
    ('store_version', '7'),
    ('views', 'f97130f2ccea7b5d');
insert into roles (episode_id, role, persona_hash, persona_id, name, culture_id, culture_hash, language, goal) values
    ('fa2874d287f8dd26', 'ada', '27c9eafc1f392b42', 'test-ada', 'Ada', 'GBR', 'd77199954dd7e156', 'en', 'You want the ada-goal.'),
    ('fa2874d287f8dd26', 'bela', '6f9e92ee2a330c65', 'test-bela', 'Bela', 'GBR', 'd77199954dd7e156', 'en', 'You want the bela-goal.');
insert into runs (run_id, config, config_hash, versions, git_commit, created_at, kind) values
    ('older', 'name: older
conditioning: name
model:
  name: fake
', 'af70270ef6cbbfcc', '{"folkways": "0.1.0"}', null, '2026-11-30 13:36:17', 'run');
insert into scenarios (scenario_hash, scenario_id, title, theme, language, tags, data) values
    ('4e521d1f9dea885c', 'scene-2', 'Scene 2', 'family-duty', 'en', [], '{"id":"scene-2","title":"Scene 2","theme":"family-duty","tags":[],"setting":"A baker''s shop in the morning. One loaf is left.","culture":null,"language":"en","roles":{"ada":{"persona":"test-ada","select":null,"brief":"ada of the village.","goal":"You want the ada-goal.","secret":null,"knows":[],"language":null,"enters":null},"bela":{"persona":"test-bela","select":null,"brief":"bela of the village.","goal":"You want the bela-goal.","secret":null,"knows":[],"language":null,"enters":null}},"personas":[],"relationships":[],"policy":{"name":"round-robin","options":{}},"opens":null,"limits":{"turns":3,"tokens":null,"wall_s":null},"stop":[],"phases":[],"events":[],"norms":[{"id":"be-kind","text":"One is kind."}]}');
insert into spa_attempts (topic, number, examples, template_hash, prompt_hash, seed, reply, outcome, question_id, left_out, prompt_tokens, completion_tokens, latency_s, asked_at) values
    ('values', 1, ['Q1'], 't', 'p', 1, 'What matters?', 'accepted', 'values:0001', [], 50, 9, 0.2, '2026-01-02 03:04:05');
insert into spa_questions (question_id, topic, ask, options, likeness, created_at) values
    ('values:0001', 'values', 'What matters?', map {1: 'bread', 2: 'time'}, 0.1, '2026-01-02 03:04:05');
insert into survey_conditions (condition_id, model, engine, method, leaks, language, readout, options, wording) values
    ('c1', 'fake', 'fake', 'culture', false, 'en', 'text', '{}', 'w');
insert into survey_items (item_id, topic, ask, scale, higher) values
    ('Q1', 'values', 'How important is family in your life?', 'ordinal', 'less');
insert into survey_options (item_id, code, point, label, position) values
    ('Q1', 1, 1, 'very', 0.0),
    ('Q1', 2, 2, 'rather', 0.3333333333333333),
    ('Q1', 3, 3, 'not very', 0.6666666666666666),
    ('Q1', 4, 4, 'not at all', 1.0);
insert into survey_replies (condition_id, country, item_id, arrangement, sample, attempt, shown, reply, strict, lenient, prompt_hash, prompt_tokens, completion_tokens, copied, latency_s, asked_at) values
    ('c1', 'GBR', 'Q1', 0, 0, 1, [1, 2, 3, 4], '1', 1, 1, 'p', 30, 1, false, 0.1, '2026-01-02 03:04:05');
insert into turns (episode_id, turn, step, speaker, action, text, addressees, audience, whisper, call, words) values
    ('fa2874d287f8dd26', 1, 1, 'ada', 'speak', 'Well - no ... ok?', ['bela'], ['bela'], false, 1, 5),
    ('fa2874d287f8dd26', 2, 2, 'bela', 'non-verbal', 'We could wait until next week and ask again.', [], ['ada'], false, 2, 0),
    ('fa2874d287f8dd26', 3, 3, 'ada', 'leave', 'Give me one good reason and I am with you.', [], ['bela'], false, 3, 10);

create view spa_outcomes as select topic, outcome, count(*) as tries from spa_attempts group by all;
