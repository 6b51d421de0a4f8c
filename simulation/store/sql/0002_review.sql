-- The review of episodes: detectors, critics, drafts of the critic in the loop, intents by category, ratings by people.

alter table launches add column stage varchar default 'run';
alter table launches add column settings json;
comment on table launches is 'One row for each time a command that plays, critiques or labels came to an orderly end.';
comment on column launches.stage is 'run, critique or label.';
comment on column launches.settings is 'Settings of a critique or of labelling: critics, judges, samples; null for run, whose settings are in the table runs.';
comment on column launches.episodes is 'Episodes played, critiqued or labelled by this launch.';

comment on column calls.step is 'Round of choosing it belongs to; 0 for calls made after the scene.';
comment on column calls.purpose is 'act, repair, bid, moderate or referee; draft-critic for the critic in the loop; critique, label or categorise after the scene.';
comment on column calls.role is 'Role it was made for or about; null for moderator and referee, and for questions about the whole scene.';
comment on column calls.seen is 'Number of the last turn that the prompt shows.';

alter table verdicts add column call integer;
comment on column verdicts.call is 'Call of the same episode that produced the verdict.';
comment on column verdicts.label is 'good, bad, aligned, not-aligned; null where the critic scores instead, and where the judgement failed.';
comment on column verdicts.score is 'Score on the dimension''s own scale; null where the critic labels instead, and where the judgement failed.';
comment on column verdicts.reason is 'The critic''s reason; of a judgement that failed, what is wrong with the reply.';
comment on column verdicts.failure is 'Null, or why there is no judgement: parse-failure, out-of-scale, copied, wrong-language, or the failure of the call.';

alter table intents add column call integer;
comment on column intents.call is 'Call of the same episode that produced the label.';
comment on column intents.failure is 'Null, or why there is no label: parse-failure, copied, or the failure of the call.';

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
comment on table drafts is 'Every draft of an act that the critic in the loop looked at; the one that was kept is the act.';
comment on column drafts.episode_id is 'The episode.';
comment on column drafts.turn is 'Number of the act.';
comment on column drafts.draft is 'Number of the draft, from 1.';
comment on column drafts.action is 'speak, non-verbal, leave or none; null where the draft could not be read.';
comment on column drafts.text is 'Words of the draft.';
comment on column drafts.call is 'Call of the same episode that produced the draft.';
comment on column drafts.label is 'accept or revise; null where the judgement failed.';
comment on column drafts.score is 'How good the draft is to the critic, 0 to 10; null where the judgement failed.';
comment on column drafts.feedback is 'What the critic would change; of a judgement that failed, what is wrong with the reply.';
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
    episode_id varchar not null, case_id varchar not null, original varchar not null, fault varchar, note varchar
);
comment on table cases is 'Conversations of the calibration set and the faults injected into them; empty in other stores.';
comment on column cases.episode_id is 'The episode.';
comment on column cases.case_id is 'Id of the conversation.';
comment on column cases.original is 'Id of the sound conversation it was made from; of a sound one its own.';
comment on column cases.fault is 'Kind of fault that was injected; null for a sound conversation.';
comment on column cases.note is 'What was done to it.';

create table expectations (fault varchar not null, source varchar not null);
comment on table expectations is 'Which critics and detectors should see which fault of the calibration set; empty in other stores.';
comment on column expectations.fault is 'Kind of fault.';
comment on column expectations.source is 'Detector, critic, or critic and dimension, that should see it.';

create table ratings (
    episode_id varchar not null, role varchar, dimension varchar not null, annotator varchar not null, label varchar,
    score double, comment varchar, imported_at timestamp not null
);
comment on table ratings is 'Judgements by people, read from sheets; of several by the same person the latest counts.';
comment on column ratings.episode_id is 'The episode.';
comment on column ratings.role is 'Role that is rated; null where the whole conversation is.';
comment on column ratings.dimension is 'What is rated, as in verdicts.';
comment on column ratings.annotator is 'Name or code of the person who rated.';
comment on column ratings.label is 'good, bad, aligned, not-aligned; null where the dimension has a score.';
comment on column ratings.score is 'Score on the dimension''s own scale; null where the dimension has a label.';
comment on column ratings.comment is 'What the annotator wrote beside it.';
comment on column ratings.imported_at is 'When the sheet was read, UTC.';
