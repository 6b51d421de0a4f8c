-- The tables of a run's store: normalised and append-only. Times are naive UTC. An episode's rows arrive in one transaction.
-- No foreign keys: they would block changes of later versions. Hashes are the first 16 hex digits of SHA-256.

create type action as enum ('speak', 'non-verbal', 'leave', 'none');

create table meta (key varchar primary key, value varchar not null);
comment on table meta is 'What kind of file this is: application, store version, views; and the shards that a merge has begun to bring in.';
comment on column meta.key is 'Name of the property.';
comment on column meta.value is 'Value of the property.';

create table runs (
    run_id varchar primary key, config varchar not null, config_hash varchar not null, versions json not null,
    git_commit varchar, created_at timestamp not null, kind varchar default 'run'
);
comment on table runs is 'The configurations that reproduce what is in this store: one row for each kind of work.';
comment on column runs.run_id is 'Name of the run, by default the name of its folder.';
comment on column runs.config is 'The resolved configuration as YAML.';
comment on column runs.config_hash is 'Hash of the resolved configuration; a rerun with another one is refused.';
comment on column runs.versions is 'Versions of folkways, Python and the packages that shape results.';
comment on column runs.git_commit is 'Commit of the folkways checkout, where there is one.';
comment on column runs.created_at is 'When the run was first started, UTC.';
comment on column runs.kind is 'Kind of work, such as run.';

create table launches (
    run_id varchar not null, started_at timestamp not null, ended_at timestamp not null, episodes integer not null,
    prompt_tokens bigint not null, completion_tokens bigint not null, cost double, end_reason varchar not null,
    stage varchar default 'run', settings json
);
comment on table launches is 'One row for each time a command that plays, critiques or labels came to an orderly end.';
comment on column launches.run_id is 'The run.';
comment on column launches.started_at is 'When the command started, UTC.';
comment on column launches.ended_at is 'When the command ended, UTC.';
comment on column launches.episodes is 'Episodes played, critiqued or labelled by this launch.';
comment on column launches.prompt_tokens is 'Prompt tokens used by this launch, unfinished episodes included.';
comment on column launches.completion_tokens is 'Completion tokens used by this launch, unfinished episodes included.';
comment on column launches.cost is 'US dollars spent by this launch; null where no price is known.';
comment on column launches.end_reason is 'done, incomplete (some is to be done again), drained, limit, model-unavailable, stopped, error, or the budget that ran out: budget-tokens, budget-cost, budget-wall.';
comment on column launches.stage is 'Kind of work, such as run, branch, critique or label.';
comment on column launches.settings is 'Settings of branches, a critique or labelling: parent and changes, or critics, judges and samples; null for run, whose settings are in the table runs.';

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
    started_at timestamp not null, wall_s double not null, conditioning varchar
);
comment on table episodes is 'One row per played episode: scenario x cast x culture x language x seed.';
comment on column episodes.episode_id is 'The content hash; later attempts at the same content carry -2, -3 and so on.';
comment on column episodes.content_hash is 'Hash of everything that defines the episode.';
comment on column episodes.attempt is '1, or higher where earlier attempts ended in an error, a spent budget or a failure of the endpoint.';
comment on column episodes.run_id is 'The run.';
comment on column episodes.scenario_id is 'Id of the scenario.';
comment on column episodes.scenario_hash is 'Row of the table scenarios: the version that was played.';
comment on column episodes.culture_id is 'The culture the scene was played in, ISO 3166 alpha-3.';
comment on column episodes.language is 'BCP 47 tag of the language the scene was played in.';
comment on column episodes.replicate is 'Number of the repetition with another seed, from 0.';
comment on column episodes.seed is 'Seed of cast, policy and sampling.';
comment on column episodes.model is 'The model as the user asked for it.';
comment on column episodes.reply_form is 'Form of the replies: json or script.';
comment on column episodes.policy is 'Name of the turn policy the scene began with.';
comment on column episodes.exit_reason is 'Why it ended: turn-limit, round-limit, token-limit, wall-limit, agreement, deal, walk-away, staleness, goal-reached, phases-over, event, empty-stage, when (what the scene waits for in its world holds), world-error (something in the world could not be worked out); model-failure (three acts in a row that a working model did not make), endpoint-failure (the same by timeouts, server errors and unreadable answers or prompts too long, or by a model that answered nobody: no result, played again), budget, error (or the name of a stop rule of one''s own).';
comment on column episodes.exit_detail is 'What exactly ended it: the rule''s role, the event, the budget, or the traceback of an error.';
comment on column episodes.turns is 'Number of turns, failed ones included.';
comment on column episodes.started_at is 'When it started, UTC.';
comment on column episodes.wall_s is 'How long it took, seconds.';
comment on column episodes.conditioning is 'How much agents were told of their culture: none, name, dimensions or norms; null where an older store does not tell.';

create table roles (
    episode_id varchar not null, role varchar not null, persona_hash varchar not null, persona_id varchar not null,
    name varchar not null, culture_id varchar not null, culture_hash varchar not null, language varchar not null,
    goal varchar not null, secret varchar, model varchar
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
comment on column roles.model is 'The model that played the role, where it had a seat of its own; null: that of the episode.';

create table turns (
    episode_id varchar not null, turn integer not null, step integer not null, phase varchar, speaker varchar not null,
    action action, text varchar, addressees varchar[] not null, audience varchar[] not null,
    whisper boolean not null, failure varchar, call integer not null, words integer, cut varchar, thought varchar
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
comment on column turns.failure is 'Null, or: parse-failure, cut-in-reasoning, refusal, timeout, server-error, bad-response, prompt-too-long, not-allowed.';
comment on column turns.call is 'Call of the same episode that produced the act; 0 where no model did: a person gave the words of a branch.';
comment on column turns.words is 'Number of words said, 0 where nothing was: a word has a letter or a digit; in scripts written without spaces, of characters.';
comment on column turns.cut is 'What the model wrote beyond the act, as somebody else, and was left out; null where nothing was.';
comment on column turns.thought is 'What was thought with the act, or in place of one, where play.thoughts asks for it; it is in nobody''s prompts. Null: nothing, or nothing was asked for.';

create table choices (
    episode_id varchar not null, step integer not null, policy varchar not null, candidates varchar[] not null,
    chosen varchar[] not null, bids map(varchar, integer), why varchar not null, fallback boolean
);
comment on table choices is 'Why each speaker was chosen.';
comment on column choices.episode_id is 'The episode.';
comment on column choices.step is 'Number of the round of choosing, from 1.';
comment on column choices.policy is 'Turn policy that chose.';
comment on column choices.candidates is 'Roles that could have acted.';
comment on column choices.chosen is 'Roles that were chosen.';
comment on column choices.bids is 'Under bidding: each role''s bid, 0 to 10; a role whose bid could not be read, in spite of a repair, is missing.';
comment on column choices.why is 'Reason in the policy''s words, such as: spoken to by the mother.';
comment on column choices.fallback is 'Whether nobody was chosen by an answer, as none could be read, and the longest silent acted instead.';

create table happenings (
    episode_id varchar not null, step integer not null, after_turn integer not null, kind varchar not null,
    name varchar not null, text varchar, audience varchar[] not null
);
comment on table happenings is 'What happened to the scene rather than through a role: events, phases and entrances; in a scene that keeps count also reports, removals and returns.';
comment on column happenings.episode_id is 'The episode.';
comment on column happenings.step is 'Round of choosing before which it happened.';
comment on column happenings.after_turn is 'Number of the last act before it, 0 at the start.';
comment on column happenings.kind is 'event, phase, entrance, report, removal or return.';
comment on column happenings.name is 'Id of the event or phase, or the role that entered, is out or is back; of a report the phase or the act.';
comment on column happenings.text is 'What was perceived; null where nothing was said of it.';
comment on column happenings.audience is 'Roles that perceived it.';

create table world (
    episode_id varchar not null, step integer not null, after_turn integer not null, phase varchar, round integer not null,
    cause varchar not null, variable varchar not null, role varchar, value varchar not null, number double
);
comment on table world is 'What a scene keeps count of: every value at the start, and every new value.';
comment on column world.episode_id is 'The episode.';
comment on column world.step is 'Round of choosing in which it changed; 0 at the start.';
comment on column world.after_turn is 'Number of the last act before it, 0 at the start.';
comment on column world.phase is 'Phase of the scenario, where it has phases.';
comment on column world.round is 'How often the phases that repeat had begun; 0 where none does.';
comment on column world.cause is 'start, acts, before:PHASE, after:PHASE, vote:PHASE, or branch for what was set at a branch.';
comment on column world.variable is 'Name of the variable.';
comment on column world.role is 'Whose value it is; null where there is one for all.';
comment on column world.value is 'The value, as text.';
comment on column world.number is 'The same as a number, 1 for true and 0 for false; null for words.';

create table decisions (
    episode_id varchar not null, turn integer not null, step integer not null, phase varchar, round integer not null,
    role varchar not null, act varchar, args json not null, granted json, allowed boolean not null, reason varchar,
    cooperation double, outcome varchar, outcome_reason varchar, judge_failure varchar, judge_call integer
);
comment on table decisions is 'Acts beside speaking, votes and private answers, those that were not allowed among them.';
comment on column decisions.episode_id is 'The episode.';
comment on column decisions.turn is 'Number of the act in the episode, from 1.';
comment on column decisions.step is 'Round of choosing; acts of one step are simultaneous.';
comment on column decisions.phase is 'Phase of the scenario, where it has phases.';
comment on column decisions.round is 'How often the phases that repeat had begun; 0 where none does.';
comment on column decisions.role is 'Role that acted.';
comment on column decisions.act is 'Name of the act, vote, or answer; null for talk that was not allowed.';
comment on column decisions.args is 'Its arguments as they were given, as JSON; roles by their id.';
comment on column decisions.granted is 'The arguments as they took effect, less where all asked for more than there was; null where nothing took effect, and for votes.';
comment on column decisions.allowed is 'Whether it was allowed and took effect.';
comment on column decisions.reason is 'Why it was not allowed; null where it was.';
comment on column decisions.cooperation is 'How far it was cooperation, 0 to 1, as the scene measures it; null where it does not.';
comment on column decisions.outcome is 'What the game master chose of the outcomes of a judged act, or none; null where nobody judged, and where there is no answer.';
comment on column decisions.outcome_reason is 'Why, in its words; nobody in the scene is told.';
comment on column decisions.judge_failure is 'Why a judged act has no answer: a failure of the call, parse-failure, or budget; nothing came of the act. Null otherwise.';
comment on column decisions.judge_call is 'Number of the call of purpose game-master that judged; null where none was made.';

create table votes (
    episode_id varchar not null, turn integer not null, step integer not null, phase varchar, round integer not null,
    role varchar not null, choice varchar not null, rank integer not null, won boolean not null
);
comment on table votes is 'Ballots, one row for each option that a voter named.';
comment on column votes.episode_id is 'The episode.';
comment on column votes.turn is 'Number of the act by which it was cast.';
comment on column votes.step is 'Round of choosing.';
comment on column votes.phase is 'Phase in which was voted.';
comment on column votes.round is 'How often the phases that repeat had begun; 0 where none does.';
comment on column votes.role is 'Who voted.';
comment on column votes.choice is 'What for: a role, or an option of the scene.';
comment on column votes.rank is 'Place of the option on the ballot, from 1.';
comment on column votes.won is 'Whether this option won the vote.';

create table payoffs (episode_id varchar not null, role varchar not null, payoff double);
comment on table payoffs is 'What a scene was worth to each role at its end, as the scene measures it.';
comment on column payoffs.episode_id is 'The episode.';
comment on column payoffs.role is 'The role.';
comment on column payoffs.payoff is 'What it was worth; null where it cannot be worked out.';

create table calls (
    episode_id varchar not null, call integer not null, step integer not null, purpose varchar not null,
    role varchar, model varchar not null, template_hash varchar not null, prompt_hash varchar not null,
    seen integer not null, seed bigint, prompt_tokens integer, cached_tokens integer, completion_tokens integer,
    latency_s double not null, attempts integer not null, cost double, finish_reason varchar, failure varchar,
    reply varchar, endpoint varchar, reasoning varchar, reasoning_tokens integer
);
comment on table calls is 'Every model call.';
comment on column calls.episode_id is 'The episode.';
comment on column calls.call is 'Number of the call in the episode, from 1.';
comment on column calls.step is 'Round of choosing it belongs to; 0 for calls made after the scene.';
comment on column calls.purpose is 'act, repair, bid, moderate or referee; game-master for what comes of a judged act; draft-critic for the critic in the loop; critique, label or categorise after the scene.';
comment on column calls.role is 'Role it was made for or about; null for moderator and referee, and for questions about the whole scene.';
comment on column calls.model is 'Model that was called.';
comment on column calls.template_hash is 'Row of the table templates.';
comment on column calls.prompt_hash is 'Hash of the whole prompt; the prompt can be rebuilt from the store and checked against it.';
comment on column calls.seen is 'Number of the last turn that the prompt shows.';
comment on column calls.seed is 'Sampling seed.';
comment on column calls.prompt_tokens is 'Prompt tokens; null where the engine does not tell.';
comment on column calls.cached_tokens is 'Prompt tokens served from the prefix cache; null where the engine does not tell.';
comment on column calls.completion_tokens is 'Completion tokens; null where the engine does not tell.';
comment on column calls.latency_s is 'Seconds from request to reply, waiting and retries included.';
comment on column calls.attempts is 'Requests made, retries included.';
comment on column calls.cost is 'US dollars; null where no price is known.';
comment on column calls.finish_reason is 'stop or length; null where the call failed.';
comment on column calls.failure is 'Null, or why the call failed: timeout, refusal, server-error, bad-response, prompt-too-long; cut-in-reasoning where the tokens were used up before a reply began; parse-failure where the answer to a question about the scene (bid, moderate, referee) cannot be read.';
comment on column calls.reply is 'The reply as generated, reasoning left out; of a failed call the error message.';
comment on column calls.endpoint is 'Where the reply came from: the endpoint of a pool by name, or response-cache; parent for a call of the beginning that a branch shares with its parent, which was not made again: it has no tokens, no cost and 0 attempts; null for a model that is one engine, and for a failed call.';
comment on column calls.reasoning is 'What the model thought before and beside its reply, never spoken or parsed; null where it shows none.';
comment on column calls.reasoning_tokens is 'Of the completion tokens, those of reasoning; null where the engine does not tell.';

create table templates (template_hash varchar primary key, name varchar not null, text varchar not null);
comment on table templates is 'Prompt templates used in this run.';
comment on column templates.template_hash is 'Hash of text.';
comment on column templates.name is 'File name of the template.';
comment on column templates.text is 'The template.';

create table verdicts (
    episode_id varchar not null, role varchar, critic varchar not null, dimension varchar not null,
    sample integer not null, model varchar not null, label varchar, score double, confidence varchar, reason varchar,
    turns integer[] not null, failure varchar, judged_at timestamp not null, call integer
);
comment on table verdicts is 'Judgements of critics about episodes; an unusable judgement has neither label nor score, and says why.';
comment on column verdicts.episode_id is 'The episode.';
comment on column verdicts.role is 'Role that is judged; null where the whole conversation is.';
comment on column verdicts.critic is 'Name of the critic, such as quality, culture or meta.';
comment on column verdicts.dimension is 'What is judged.';
comment on column verdicts.sample is 'Number of the repetition, from 0.';
comment on column verdicts.model is 'Model that judged.';
comment on column verdicts.label is 'good, bad, aligned, not-aligned; null where the critic scores instead, and where the judgement failed.';
comment on column verdicts.score is 'Score on the dimension''s own scale; null where the critic labels instead, and where the judgement failed.';
comment on column verdicts.confidence is 'very confident, confident or not sure.';
comment on column verdicts.reason is 'The critic''s reason; of a judgement that failed, what is wrong with the reply.';
comment on column verdicts.turns is 'Turns the judgement rests on.';
comment on column verdicts.failure is 'Null, or why there is no judgement: parse-failure, out-of-scale, copied, wrong-language, or the failure of the call.';
comment on column verdicts.judged_at is 'When it was judged, UTC.';
comment on column verdicts.call is 'Call of the same episode that produced the verdict.';

create table intents (
    episode_id varchar not null, turn integer not null, model varchar not null, intent varchar, relevance varchar,
    expectation varchar, failure varchar, labelled_at timestamp not null, call integer
);
comment on table intents is 'The purpose behind a turn; absent where labelling failed.';
comment on column intents.episode_id is 'The episode.';
comment on column intents.turn is 'Number of the act.';
comment on column intents.model is 'Model that labelled.';
comment on column intents.intent is 'One sentence: what the speaker is after.';
comment on column intents.relevance is 'generic or cultural.';
comment on column intents.expectation is 'The cultural expectation the intent answers; null for generic ones.';
comment on column intents.failure is 'Null, or why there is no label: parse-failure, copied, or the failure of the call.';
comment on column intents.labelled_at is 'When it was labelled, UTC.';
comment on column intents.call is 'Call of the same episode that produced the label.';

create table detections (
    episode_id varchar not null, detector varchar not null, role varchar, value double not null, flagged boolean not null,
    turns integer[] not null, evidence varchar, detected_at timestamp not null
);
comment on table detections is 'What the deterministic detectors measured, one row per detector and role that spoke; they cost no call.';
comment on column detections.episode_id is 'The episode.';
comment on column detections.detector is 'Name of the detector: repetition, echo, speaks-for-others, wrong-language, secret-leak, too-short or meta-talk.';
comment on column detections.role is 'Role that is measured.';
comment on column detections.value is 'Share of the role''s spoken turns that have the fault, 0 to 1.';
comment on column detections.flagged is 'Whether the share reaches the detector''s threshold.';
comment on column detections.turns is 'Turns that have the fault.';
comment on column detections.evidence is 'Text of the first of them.';
comment on column detections.detected_at is 'When it was measured, UTC.';

create table drafts (
    episode_id varchar not null, turn integer not null, draft integer not null, action action, text varchar,
    call integer not null, label varchar, score double, feedback varchar, critic_call integer, failure varchar,
    kept boolean not null
);
comment on table drafts is 'Every draft of an act that the critic in the loop, or the detectors that choose among drafts, looked at; the one that was kept is the act.';
comment on column drafts.episode_id is 'The episode.';
comment on column drafts.turn is 'Number of the act.';
comment on column drafts.draft is 'Number of the draft, from 1.';
comment on column drafts.action is 'speak, non-verbal, leave or none; null where the draft could not be read.';
comment on column drafts.text is 'Words of the draft.';
comment on column drafts.call is 'Call of the same episode that produced the draft.';
comment on column drafts.label is 'accept or revise; null where the judgement failed.';
comment on column drafts.score is 'How good the draft is to the critic or the detectors, 0 to 10; null where the judgement failed.';
comment on column drafts.feedback is 'What the critic would change, or the faults that detectors found; of a judgement that failed, what is wrong with the reply.';
comment on column drafts.critic_call is 'Call of the same episode in which the critic judged the draft; null where it was not asked.';
comment on column drafts.failure is 'Null, or why there is no judgement.';
comment on column drafts.kept is 'Whether this draft became the act.';

create table categories (
    episode_id varchar not null, turn integer not null, taxonomy varchar not null, model varchar not null,
    category varchar, failure varchar, call integer, labelled_at timestamp not null
);
comment on table categories is 'Intents mapped to the categories of a user''s taxonomy; absent where that failed.';
comment on column categories.episode_id is 'The episode.';
comment on column categories.turn is 'Number of the act.';
comment on column categories.taxonomy is 'Name of the taxonomy, with a hash of its categories.';
comment on column categories.model is 'Model that mapped.';
comment on column categories.category is 'Id of the category; null where mapping failed.';
comment on column categories.failure is 'Null, or why there is no category.';
comment on column categories.call is 'Call of the same episode that produced it.';
comment on column categories.labelled_at is 'When it was mapped, UTC.';

create table cases (
    episode_id varchar not null, case_id varchar not null, original varchar not null, fault varchar, note varchar,
    injection varchar, language varchar, wants varchar
);
comment on table cases is 'Conversations of the calibration set and the faults injected into them; empty in other stores.';
comment on column cases.episode_id is 'The episode.';
comment on column cases.case_id is 'Id of the conversation.';
comment on column cases.original is 'Id of the conversation it was made from: the sound one, or the one without the injected text; of a sound one its own.';
comment on column cases.fault is 'Kind of fault that was injected; null for a sound conversation.';
comment on column cases.note is 'What was done to it.';
comment on column cases.injection is 'What a text that steers judges pretends to be or is: turn, heading, verdict or instruction; null where there is none.';
comment on column cases.language is 'Language of that text, BCP 47.';
comment on column cases.wants is 'What it tries to have said of the conversation: good or bad.';

create table expectations (fault varchar not null, source varchar not null);
comment on table expectations is 'Which critics and detectors should see which fault of the calibration set; empty in other stores.';
comment on column expectations.fault is 'Kind of fault.';
comment on column expectations.source is 'Detector, critic, or critic and dimension, that should see it.';

create table ratings (
    episode_id varchar not null, role varchar, dimension varchar not null, annotator varchar not null, label varchar,
    score double, comment varchar, imported_at timestamp not null, turn integer
);
comment on table ratings is 'Judgements by people, read from sheets; of several by the same person the latest counts.';
comment on column ratings.episode_id is 'The episode.';
comment on column ratings.role is 'Role that is rated; null where the whole conversation is.';
comment on column ratings.dimension is 'What is rated, as in verdicts; of a labelled turn intent or relevance.';
comment on column ratings.annotator is 'Name or code of the person who rated.';
comment on column ratings.label is
    'good, bad, aligned, not-aligned; of an intent right or wrong, of its relevance generic or cultural; null where the dimension has a score.';
comment on column ratings.score is 'Score on the dimension''s own scale; null where the dimension has a label.';
comment on column ratings.comment is 'What the annotator wrote beside it.';
comment on column ratings.imported_at is 'When the sheet was read, UTC.';
comment on column ratings.turn is 'The act whose intent is rated; null where an episode or a role is.';

create table branches (
    episode_id varchar primary key, parent_id varchar not null, at_turn integer not null, number integer not null,
    changes json not null
);
comment on table branches is 'Episodes that start from the middle of another one.';
comment on column branches.episode_id is 'The episode that branched off.';
comment on column branches.parent_id is 'The episode whose beginning it shares.';
comment on column branches.at_turn is 'Last turn that both share; 0 where they share none.';
comment on column branches.number is 'Number of the branch among those of the same kind, from 1.';
comment on column branches.changes is 'What was changed at that point, as JSON: set and say; empty for another seed alone.';

create table merged_shards (shard_id varchar primary key, work varchar not null, records integer not null, merged_at timestamp not null);
comment on table merged_shards is 'Shards that workers wrote and that are in this store; a shard is merged whole and once.';
comment on column merged_shards.shard_id is 'Name of the shard.';
comment on column merged_shards.work is 'What the worker did, as in the column stage of launches.';
comment on column merged_shards.records is 'Records in it, such as episodes or sheets.';
comment on column merged_shards.merged_at is 'When it was merged, UTC.';
