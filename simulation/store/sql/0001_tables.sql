-- The tables of a run's store: normalised and append-only. Times are naive UTC. An episode's rows arrive in one transaction.
-- No foreign keys: they would block later migrations. Hashes are the first 16 hex digits of SHA-256.

create type action as enum ('speak', 'non-verbal', 'leave', 'none');

create table meta (key varchar primary key, value varchar not null);
comment on table meta is 'What kind of file this is: application, store version.';
comment on column meta.key is 'Name of the property.';
comment on column meta.value is 'Value of the property.';

create table runs (
    run_id varchar primary key, config varchar not null, config_hash varchar not null, versions json not null,
    git_commit varchar, created_at timestamp not null
);
comment on table runs is 'The configuration that reproduces the run in this store; one row.';
comment on column runs.run_id is 'Name of the run, by default the name of its folder.';
comment on column runs.config is 'The resolved configuration as YAML.';
comment on column runs.config_hash is 'Hash of the resolved configuration; a rerun with another one is refused.';
comment on column runs.versions is 'Versions of folkways, Python and the packages that shape results.';
comment on column runs.git_commit is 'Commit of the folkways checkout, where there is one.';
comment on column runs.created_at is 'When the run was first started, UTC.';

create table launches (
    run_id varchar not null, started_at timestamp not null, ended_at timestamp not null, episodes integer not null,
    prompt_tokens bigint not null, completion_tokens bigint not null, cost double, end_reason varchar not null
);
comment on table launches is 'One row for each time the run command came to an orderly end.';
comment on column launches.run_id is 'The run.';
comment on column launches.started_at is 'When the command started, UTC.';
comment on column launches.ended_at is 'When the command ended, UTC.';
comment on column launches.episodes is 'Episodes stored by this launch.';
comment on column launches.prompt_tokens is 'Prompt tokens used by this launch, unfinished episodes included.';
comment on column launches.completion_tokens is 'Completion tokens used by this launch, unfinished episodes included.';
comment on column launches.cost is 'US dollars spent by this launch; null where no price is known.';
comment on column launches.end_reason is 'done, drained, limit, model-unavailable, or the budget that ran out: budget-tokens, budget-cost, budget-wall.';

create table cultures (culture_hash varchar primary key, culture_id varchar not null, name varchar not null, data json not null);
comment on table cultures is 'Every culture that episodes of this run used, as it was then.';
comment on column cultures.culture_hash is 'Hash of data.';
comment on column cultures.culture_id is 'ISO 3166 alpha-3 country code.';
comment on column cultures.name is 'Country name in English.';
comment on column cultures.data is 'The culture file as JSON.';

create table scenarios (
    scenario_hash varchar primary key, scenario_id varchar not null, title varchar not null, theme varchar not null,
    language varchar not null, tags varchar[] not null, data json not null
);
comment on table scenarios is 'Every scenario that episodes of this run played, as it was then.';
comment on column scenarios.scenario_hash is 'Hash of data.';
comment on column scenarios.scenario_id is 'Id of the scenario file.';
comment on column scenarios.title is 'Title of the scenario.';
comment on column scenarios.theme is 'Theme of the scenario, such as family-duty.';
comment on column scenarios.language is 'BCP 47 tag of the language the scene is written in.';
comment on column scenarios.tags is 'Tags of the scenario.';
comment on column scenarios.data is 'The scenario file as JSON.';

create table personas (
    persona_hash varchar primary key, persona_id varchar not null, name varchar not null, age integer not null,
    gender varchar not null, occupation varchar not null, education varchar not null, settlement varchar not null,
    marital_status varchar not null, culture_id varchar not null, data json not null
);
comment on table personas is 'Every fictional person cast in this run.';
comment on column personas.persona_hash is 'Hash of data.';
comment on column personas.persona_id is 'Id of the persona.';
comment on column personas.name is 'Full name in Latin letters.';
comment on column personas.age is 'Age in years.';
comment on column personas.gender is 'woman, man or nonbinary.';
comment on column personas.occupation is 'What the person does.';
comment on column personas.education is 'Highest level completed.';
comment on column personas.settlement is 'Kind of place the person lives in.';
comment on column personas.marital_status is 'Marital status.';
comment on column personas.culture_id is 'Culture of the persona, ISO 3166 alpha-3.';
comment on column personas.data is 'The whole persona as JSON.';

create table episodes (
    episode_id varchar primary key, content_hash varchar not null, attempt integer not null, run_id varchar not null,
    scenario_id varchar not null, scenario_hash varchar not null, culture_id varchar not null, language varchar not null,
    replicate integer not null, seed bigint not null, model varchar not null, reply_form varchar not null,
    policy varchar not null, exit_reason varchar not null, exit_detail varchar, turns integer not null,
    started_at timestamp not null, wall_s double not null
);
comment on table episodes is 'One row per played episode: scenario x cast x culture x language x seed.';
comment on column episodes.episode_id is 'The content hash; later attempts at the same content carry -2, -3 and so on.';
comment on column episodes.content_hash is 'Hash of everything that defines the episode.';
comment on column episodes.attempt is '1, or higher where an earlier attempt ended in an error or a spent budget.';
comment on column episodes.run_id is 'The run.';
comment on column episodes.scenario_id is 'Id of the scenario.';
comment on column episodes.scenario_hash is 'Row of the table scenarios.';
comment on column episodes.culture_id is 'The culture the scene was played in, ISO 3166 alpha-3.';
comment on column episodes.language is 'BCP 47 tag of the language the scene was played in.';
comment on column episodes.replicate is 'Number of the repetition with another seed, from 0.';
comment on column episodes.seed is 'Seed of cast, policy and sampling.';
comment on column episodes.model is 'The model as the user asked for it.';
comment on column episodes.reply_form is 'Form of the replies: json or script.';
comment on column episodes.policy is 'Name of the turn policy the scene began with.';
comment on column episodes.exit_reason is 'Why it ended: turn-limit, token-limit, wall-limit, agreement, deal, walk-away, staleness, goal-reached, event, empty-stage, model-failure, budget, error.';
comment on column episodes.exit_detail is 'What exactly: the rule''s role, the event, the budget, or the traceback of an error.';
comment on column episodes.turns is 'Number of turns, failed ones included.';
comment on column episodes.started_at is 'When it started, UTC.';
comment on column episodes.wall_s is 'How long it took, seconds.';

create table roles (
    episode_id varchar not null, role varchar not null, persona_hash varchar not null, persona_id varchar not null,
    name varchar not null, culture_id varchar not null, culture_hash varchar not null, language varchar not null,
    goal varchar not null, secret varchar
);
comment on table roles is 'The cast: who played which role in an episode, in the order of the scenario file.';
comment on column roles.episode_id is 'The episode.';
comment on column roles.role is 'Role id in the scenario file.';
comment on column roles.persona_hash is 'Row of the table personas.';
comment on column roles.persona_id is 'Id of the persona.';
comment on column roles.name is 'Name by which the others know the role.';
comment on column roles.culture_id is 'Culture the agent is conditioned on, ISO 3166 alpha-3.';
comment on column roles.culture_hash is 'Row of the table cultures.';
comment on column roles.language is 'BCP 47 tag of the language the role speaks.';
comment on column roles.goal is 'Private goal.';
comment on column roles.secret is 'Secret, if the role has one.';

create table turns (
    episode_id varchar not null, turn integer not null, step integer not null, phase varchar, speaker varchar not null,
    action action, text varchar, addressees varchar[] not null, audience varchar[] not null,
    whisper boolean not null, failure varchar, call integer not null
);
comment on table turns is 'Every act of every agent; an act that failed has neither action nor text, and says why.';
comment on column turns.episode_id is 'The episode.';
comment on column turns.turn is 'Number of the act in the episode, from 1.';
comment on column turns.step is 'Number of the round of choosing, from 1; acts of one step are simultaneous.';
comment on column turns.phase is 'Phase of the scenario, where it has phases.';
comment on column turns.speaker is 'Role that acted.';
comment on column turns.action is 'speak, non-verbal, leave or none; null where the call failed.';
comment on column turns.text is 'Words spoken, or a description of the act; null where there is none.';
comment on column turns.addressees is 'Roles spoken to; empty: nobody in particular.';
comment on column turns.audience is 'Roles other than the speaker that perceived the act.';
comment on column turns.whisper is 'Whether only those spoken to were meant to hear it.';
comment on column turns.failure is 'Null, or: parse-failure, refusal, timeout, server-error, bad-response, prompt-too-long, not-allowed.';
comment on column turns.call is 'Call of the same episode that produced the act.';

create table choices (
    episode_id varchar not null, step integer not null, policy varchar not null, candidates varchar[] not null,
    chosen varchar[] not null, bids map(varchar, integer), why varchar not null
);
comment on table choices is 'Why each speaker was chosen.';
comment on column choices.episode_id is 'The episode.';
comment on column choices.step is 'Number of the round of choosing, from 1.';
comment on column choices.policy is 'Turn policy that chose.';
comment on column choices.candidates is 'Roles that could have acted.';
comment on column choices.chosen is 'Roles that were chosen.';
comment on column choices.bids is 'Under bidding: each role''s bid, 0 to 10; a role whose bid failed is missing.';
comment on column choices.why is 'Reason in the policy''s words, such as: spoken to by the mother.';

create table happenings (
    episode_id varchar not null, step integer not null, after_turn integer not null, kind varchar not null,
    name varchar not null, text varchar, audience varchar[] not null
);
comment on table happenings is 'What happened to the scene rather than through a role: events, phases and entrances.';
comment on column happenings.episode_id is 'The episode.';
comment on column happenings.step is 'Round of choosing before which it happened.';
comment on column happenings.after_turn is 'Number of the last act before it, 0 at the start.';
comment on column happenings.kind is 'event, phase or entrance.';
comment on column happenings.name is 'Id of the event or phase, or the role that entered.';
comment on column happenings.text is 'What was perceived; null where nothing was said of it.';
comment on column happenings.audience is 'Roles that perceived it.';

create table calls (
    episode_id varchar not null, call integer not null, step integer not null, purpose varchar not null,
    role varchar, model varchar not null, template_hash varchar not null, prompt_hash varchar not null,
    seen integer not null, seed bigint, prompt_tokens integer, cached_tokens integer, completion_tokens integer,
    latency_s double not null, attempts integer not null, cost double, finish_reason varchar, failure varchar,
    reply varchar
);
comment on table calls is 'Every model call.';
comment on column calls.episode_id is 'The episode.';
comment on column calls.call is 'Number of the call in the episode, from 1.';
comment on column calls.step is 'Round of choosing it belongs to.';
comment on column calls.purpose is 'act, repair, bid, moderate or referee.';
comment on column calls.role is 'Role it was made for; null for the moderator and the referee.';
comment on column calls.model is 'Model that was called.';
comment on column calls.template_hash is 'Row of the table templates.';
comment on column calls.prompt_hash is 'Hash of the whole prompt; the prompt can be rebuilt from the store and checked against it.';
comment on column calls.seen is 'Number of the last turn that was complete when the prompt was made.';
comment on column calls.seed is 'Sampling seed.';
comment on column calls.prompt_tokens is 'Prompt tokens; null where the engine does not tell.';
comment on column calls.cached_tokens is 'Prompt tokens served from the prefix cache; null where the engine does not tell.';
comment on column calls.completion_tokens is 'Completion tokens; null where the engine does not tell.';
comment on column calls.latency_s is 'Seconds from request to reply, waiting and retries included.';
comment on column calls.attempts is 'Requests made, retries included.';
comment on column calls.cost is 'US dollars; null where no price is known.';
comment on column calls.finish_reason is 'stop or length; null where the call failed.';
comment on column calls.failure is 'Null, or why the call failed.';
comment on column calls.reply is 'The reply as generated; of a failed call the error message.';

create table templates (template_hash varchar primary key, name varchar not null, text varchar not null);
comment on table templates is 'Prompt templates used in this run.';
comment on column templates.template_hash is 'Hash of text.';
comment on column templates.name is 'File name of the template.';
comment on column templates.text is 'The template.';

create table verdicts (
    episode_id varchar not null, role varchar, critic varchar not null, dimension varchar not null,
    sample integer not null, model varchar not null, label varchar, score double, confidence varchar, reason varchar,
    turns integer[] not null, failure varchar, judged_at timestamp not null
);
comment on table verdicts is 'Judgements of critics about episodes; an unusable judgement has neither label nor score, and says why.';
comment on column verdicts.episode_id is 'The episode.';
comment on column verdicts.role is 'Role that is judged; null where the whole conversation is.';
comment on column verdicts.critic is 'Name of the critic, such as quality, culture or meta.';
comment on column verdicts.dimension is 'What is judged.';
comment on column verdicts.sample is 'Number of the repetition, from 0.';
comment on column verdicts.model is 'Model that judged.';
comment on column verdicts.label is 'good, bad, aligned, not-aligned; null where the critic scores instead.';
comment on column verdicts.score is 'Score on the dimension''s own scale; null where the critic labels instead.';
comment on column verdicts.confidence is 'very confident, confident or not sure.';
comment on column verdicts.reason is 'The critic''s reason.';
comment on column verdicts.turns is 'Turns the judgement rests on.';
comment on column verdicts.failure is 'Null, or why there is no judgement.';
comment on column verdicts.judged_at is 'When it was judged, UTC.';

create table intents (
    episode_id varchar not null, turn integer not null, model varchar not null, intent varchar, relevance varchar,
    expectation varchar, failure varchar, labelled_at timestamp not null
);
comment on table intents is 'The purpose behind a turn; absent where labelling failed.';
comment on column intents.episode_id is 'The episode.';
comment on column intents.turn is 'Number of the act.';
comment on column intents.model is 'Model that labelled.';
comment on column intents.intent is 'One sentence: what the speaker is after.';
comment on column intents.relevance is 'generic or cultural.';
comment on column intents.expectation is 'The cultural expectation the intent answers; null for generic ones.';
comment on column intents.failure is 'Null, or why there is no label.';
comment on column intents.labelled_at is 'When it was labelled, UTC.';
