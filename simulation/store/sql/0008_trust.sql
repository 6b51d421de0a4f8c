-- Reasoning apart from answers; choices that fell back on a default; what was cut from an act; the end of the last phase.

alter table calls add column reasoning varchar;
alter table calls add column reasoning_tokens integer;
comment on column calls.reasoning is 'What the model thought before and beside its reply, never spoken or parsed; null where it shows none.';
comment on column calls.reasoning_tokens is 'Of the completion tokens, those of reasoning; null where the engine does not tell.';
comment on column calls.reply is 'The reply as generated, reasoning left out; of a failed call the error message.';
comment on column calls.failure is 'Null, or why the call failed: timeout, refusal, server-error, bad-response, prompt-too-long; cut-in-reasoning where the tokens were used up before a reply began; parse-failure where the answer to a question about the scene (bid, moderate, referee) cannot be read.';
comment on column turns.failure is 'Null, or: parse-failure, cut-in-reasoning, refusal, timeout, server-error, bad-response, prompt-too-long, not-allowed.';

alter table survey_replies add column reasoning varchar;
alter table survey_replies add column reasoning_tokens integer;
comment on column survey_replies.reasoning is 'What the model thought before and beside its answer; null where it shows none, and for log-probabilities.';
comment on column survey_replies.reasoning_tokens is 'Of the completion tokens, those of reasoning; null where the engine does not tell.';
comment on column survey_replies.reply is 'Generated text, reasoning left out; of a failed call the error message.';
comment on column survey_replies.problem is 'Null, or why there is no answer: empty, refusal, unsure, out of range, several, decimal, no option, no mass, cut-in-reasoning, or the failure of the call.';

alter table spa_attempts add column reasoning varchar;
comment on column spa_attempts.reasoning is 'What the model thought before and beside its reply; null where it shows none.';

alter table turns add column cut varchar;
comment on column turns.cut is 'What the model wrote beyond the act, as somebody else, and was left out; null where nothing was.';

alter table cases add column injection varchar;
alter table cases add column language varchar;
alter table cases add column wants varchar;
comment on column cases.injection is 'What a text that steers judges pretends to be or is: turn, heading, verdict or instruction; null where there is none.';
comment on column cases.language is 'Language of that text, BCP 47.';
comment on column cases.wants is 'What it tries to have said of the conversation: good or bad.';
comment on column cases.original is 'Id of the conversation it was made from: the sound one, or the one without the injected text; of a sound one its own.';

alter table choices add column fallback boolean;
update choices set fallback = why in ('no bid could be read', 'the moderator''s answer could not be read');
comment on column choices.fallback is 'Whether nobody was chosen by an answer, as none could be read, and the longest silent acted instead.';
comment on column choices.bids is 'Under bidding: each role''s bid, 0 to 10; a role whose bid could not be read, in spite of a repair, is missing.';

-- What tells runs in one store apart, and words as they are counted now.

alter table episodes add column conditioning varchar;
update episodes set conditioning = configured.conditioning
from (select run_id, nullif(regexp_extract(config, '(?m)^conditioning: *(\w+)', 1), '') as conditioning from runs) configured
where episodes.run_id = configured.run_id;
comment on column episodes.conditioning is
    'How much agents were told of their culture: none, name, dimensions or norms; null where an older store does not tell.';

update turns set words = spoken_words(action, text) where words is distinct from spoken_words(action, text);
comment on column turns.words is
    'Number of words said, 0 where nothing was: a word has a letter or a digit; in scripts written without spaces, of '
    'characters.';

comment on column episodes.exit_reason is 'Why it ended: turn-limit, token-limit, wall-limit, agreement, deal, walk-away, staleness, goal-reached, phases-over, event, empty-stage; model-failure (three acts in a row that a working model did not make), endpoint-failure (the same by timeouts, server errors and unreadable answers or prompts too long, or by a model that answered nobody: no result, played again), budget, error (or the name of a stop rule of one''s own).';
comment on column launches.end_reason is 'done, incomplete (some is to be done again), drained, limit, model-unavailable, stopped, error, or the budget that ran out: budget-tokens, budget-cost, budget-wall.';
comment on table meta is 'What kind of file this is: application, store version, views; and the shards that a merge has begun to bring in.';
