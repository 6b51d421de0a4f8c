-- The survey put to models: what was asked of whom, and every answer.

create table survey_items (
    item_id varchar primary key, topic varchar not null, ask varchar not null, scale varchar not null, higher varchar
);
comment on table survey_items is 'Items of the World Values Survey that an evaluation asks, in our own words, and questions that a model wrote.';
comment on column survey_items.item_id is 'Name in the survey''s wave-7 file; of a question that a model wrote topic and number.';
comment on column survey_items.topic is 'Topic.';
comment on column survey_items.ask is 'Question, or statement to be judged, in English.';
comment on column survey_items.scale is 'ordinal, nominal or binary.';
comment on column survey_items.higher is 'Whether a higher point means more or less of what is asked; null for nominal.';

create table survey_options (
    item_id varchar not null, code smallint not null, point smallint not null, label varchar not null, position double
);
comment on table survey_options is 'Options of each item that are a point of its scale.';
comment on column survey_options.item_id is 'The item.';
comment on column survey_options.code is 'Number as in the survey''s file.';
comment on column survey_options.point is 'Point of the scale, after recodes; two codes may share one.';
comment on column survey_options.label is 'Label in English.';
comment on column survey_options.position is 'Place of the point on the scale from 0 to 1; null for nominal.';

create table survey_people (
    country varchar not null, item_id varchar not null, point smallint not null, share double not null,
    valid double not null, missing double not null, independent double, clusters double
);
comment on table survey_people is 'Answers of people that models are compared with, one row per country, item and point; no row where an item was not asked.';
comment on column survey_people.country is 'ISO 3166 alpha-3.';
comment on column survey_people.item_id is 'The item; with respondents also Y002 and Y003, indices of several answers of each person.';
comment on column survey_people.point is 'Point of the scale.';
comment on column survey_people.share is 'Share of valid answers.';
comment on column survey_people.valid is 'Number of valid answers in the cell.';
comment on column survey_people.missing is 'Share of the national sample without a valid answer.';
comment on column survey_people.independent is 'Answers of a simple random sample whose shares would vary as much: fewer than valid where people are weighted or come from few sampling points; null where that is not known.';
comment on column survey_people.clusters is 'Sampling points (I_PSU) that the valid answers come from; null where they are not known.';

create table survey_respondents (
    respondent_id varchar primary key, country varchar not null, synthetic boolean not null, weight double,
    demographics json not null, cluster bigint
);
comment on table survey_respondents is 'Respondents that models are asked to answer as.';
comment on column survey_respondents.respondent_id is 'The respondent.';
comment on column survey_respondents.country is 'ISO 3166 alpha-3.';
comment on column survey_respondents.synthetic is 'True for a made-up respondent, false for one of the survey.';
comment on column survey_respondents.weight is 'National weight; null if there is none.';
comment on column survey_respondents.demographics is 'What is told about the respondent, by column of the survey; null was not answered and is not told.';
comment on column survey_respondents.cluster is 'Sampling point (I_PSU) of the respondent within the country; null where it is not known.';

create table survey_truths (respondent_id varchar not null, item_id varchar not null, point smallint not null);
comment on table survey_truths is 'Valid answers of the respondents themselves.';
comment on column survey_truths.respondent_id is 'The respondent.';
comment on column survey_truths.item_id is 'The item.';
comment on column survey_truths.point is 'Point of the scale.';

create table survey_conditions (
    condition_id varchar primary key, model varchar not null, engine varchar not null, method varchar not null,
    leaks boolean not null, style varchar, language varchar not null, readout varchar not null, options json not null,
    wording varchar not null, chat_hash varchar
);
comment on table survey_conditions is 'Ways in which the survey is put to a model: model, method, style of description, language and read-out.';
comment on column survey_conditions.condition_id is 'Hash of all of them.';
comment on column survey_conditions.model is 'What the configuration calls the model.';
comment on column survey_conditions.engine is 'Engine and model, as in --model.';
comment on column survey_conditions.method is 'unaware, culture, respondent and so on; see folkways eval wvs methods.';
comment on column survey_conditions.leaks is 'Whether the method shows the model people''s answers to the items that are evaluated.';
comment on column survey_conditions.style is 'How respondents are described; null where none is.';
comment on column survey_conditions.language is 'Language of the prompts; native: each country''s own.';
comment on column survey_conditions.readout is 'logprobs or text.';
comment on column survey_conditions.options is 'Options of the engine that shape its answers; for CultureSPA also the orders and the sampling (asked).';
comment on column survey_conditions.wording is 'Hash of the prompts and of the wording of all items, in the languages asked; questions that a model wrote are in spa_questions.';
comment on column survey_conditions.chat_hash is 'Hash of a sample chat as the text that the model reads: chat template, its variables, the date; null where an endpoint or llama.cpp writes it.';

create table survey_replies (
    condition_id varchar not null, country varchar not null, respondent_id varchar, item_id varchar not null,
    arrangement smallint not null, sample smallint not null, attempt smallint not null, shown smallint[] not null,
    probabilities double[], mass double, reply varchar, strict smallint, lenient smallint, problem varchar,
    prompt_hash varchar not null, prompt_tokens integer, cached_tokens integer, completion_tokens integer,
    cost double, copied boolean not null, latency_s double not null, asked_at timestamp not null,
    reasoning varchar, reasoning_tokens integer
);
comment on table survey_replies is 'Every answer of a model to an item, one row per option order and sample; repeated after a timeout or a server error.';
comment on column survey_replies.condition_id is 'Row of survey_conditions.';
comment on column survey_replies.country is 'Culture the model answers for, ISO 3166 alpha-3; * where the prompt names none.';
comment on column survey_replies.respondent_id is 'Respondent the model answers as; null where none is described.';
comment on column survey_replies.item_id is 'The item.';
comment on column survey_replies.arrangement is 'Number of the option order, from 0; for a scale 0 is forward and 1 reversed.';
comment on column survey_replies.sample is 'Number of the generated answer, from 0; always 0 for log-probabilities.';
comment on column survey_replies.attempt is 'Number of the try, from 1; the last one counts.';
comment on column survey_replies.shown is 'Codes of the options as in the survey''s file, in the order shown.';
comment on column survey_replies.probabilities is 'Probability of each option as shown, out of everything the model might have said; null for text.';
comment on column survey_replies.mass is 'Their sum: how likely it is that the model names an option at all; null for text.';
comment on column survey_replies.reply is 'Generated text, reasoning left out; of a failed call the error message.';
comment on column survey_replies.strict is 'Code of the option that the text is, and nothing but it; null where it is none.';
comment on column survey_replies.lenient is 'Code of the one option that the text names; null where it names none or several.';
comment on column survey_replies.problem is 'Null, or why there is no answer: empty, refusal, unsure, out of range, several, decimal, no option, no mass, cut-in-reasoning, or the failure of the call.';
comment on column survey_replies.prompt_hash is 'Hash of the whole prompt.';
comment on column survey_replies.prompt_tokens is 'Prompt tokens; null where the engine does not tell, as for log-probabilities.';
comment on column survey_replies.cached_tokens is 'Prompt tokens served from the prefix cache; null where the engine does not tell.';
comment on column survey_replies.completion_tokens is 'Completion tokens; null where the engine does not tell.';
comment on column survey_replies.cost is 'US dollars; null where no price is known.';
comment on column survey_replies.copied is 'Whether it is the answer to the very same prompt, asked earlier in this launch for another respondent.';
comment on column survey_replies.latency_s is 'Seconds from request to reply, waiting and retries included.';
comment on column survey_replies.asked_at is 'When it was asked, UTC.';
comment on column survey_replies.reasoning is 'What the model thought before and beside its answer; null where it shows none, and for log-probabilities.';
comment on column survey_replies.reasoning_tokens is 'Of the completion tokens, those of reasoning; null where the engine does not tell.';
