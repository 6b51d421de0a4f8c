-- CultureSPA: questions a model writes, and the answers of its own that are chosen to train it on. Experiments: texts of no
-- scene for comparison, and the adapters that were trained.

create table spa_attempts (
    topic varchar not null, number integer not null, examples varchar[] not null, template_hash varchar not null,
    prompt_hash varchar not null, seed integer not null, reply varchar, outcome varchar not null, question_id varchar,
    duplicates varchar, likeness double, left_out varchar[] not null, finish_reason varchar, prompt_tokens integer,
    cached_tokens integer, completion_tokens integer, cost double, latency_s double not null, asked_at timestamp not null,
    reasoning varchar
);
comment on table spa_attempts is 'Every try to have the model write a question, whatever came of it.';
comment on column spa_attempts.topic is 'Topic the question is to be about, as survey items name it.';
comment on column spa_attempts.number is 'Number of the try within its topic, from 1.';
comment on column spa_attempts.examples is 'Ids of the items and questions shown as examples, in the order shown.';
comment on column spa_attempts.template_hash is 'Row of templates that the prompt was made from.';
comment on column spa_attempts.prompt_hash is 'Hash of the whole prompt.';
comment on column spa_attempts.seed is 'Seed of the sampling.';
comment on column spa_attempts.reply is 'Generated text; of a failed call the error message.';
comment on column spa_attempts.outcome is 'accepted, or why there is no question: a fault by name (see docs/culturespa.md), or the failure of the call.';
comment on column spa_attempts.question_id is 'Row of spa_questions; null where the try was not accepted.';
comment on column spa_attempts.duplicates is 'Question or item that the try repeats, or nearly; null where it repeats none.';
comment on column spa_attempts.likeness is 'Share of words that the two have in common, 0 to 1; null where it repeats none.';
comment on column spa_attempts.left_out is 'Options that decline to answer or say don''t know, as written, which the question does without.';
comment on column spa_attempts.finish_reason is 'stop, length or refusal; null for a failed call.';
comment on column spa_attempts.prompt_tokens is 'Prompt tokens; null where the engine does not tell.';
comment on column spa_attempts.cached_tokens is 'Prompt tokens served from the prefix cache; null where the engine does not tell.';
comment on column spa_attempts.completion_tokens is 'Completion tokens; null where the engine does not tell.';
comment on column spa_attempts.cost is 'US dollars; null where no price is known.';
comment on column spa_attempts.latency_s is 'Seconds from request to reply, waiting and retries included.';
comment on column spa_attempts.asked_at is 'When the model was asked, UTC.';
comment on column spa_attempts.reasoning is 'What the model thought before and beside its reply; null where it shows none.';

create table spa_questions (
    question_id varchar primary key, topic varchar not null, ask varchar not null, options map(smallint, varchar) not null,
    paraphrases varchar, likeness double not null, created_at timestamp not null
);
comment on table spa_questions is 'Questions that were accepted, in the order of their acceptance within each topic.';
comment on column spa_questions.question_id is 'Topic and number, such as corruption:0007; no id of a survey item.';
comment on column spa_questions.topic is 'Topic.';
comment on column spa_questions.ask is 'Question, or statement to be judged.';
comment on column spa_questions.options is 'From code, numbered from 1, to label.';
comment on column spa_questions.paraphrases is 'Survey item whose words it shares most, at or above the threshold of the configuration; null: none.';
comment on column spa_questions.likeness is 'Share of words in common with the likest survey item, whether above the threshold or not.';
comment on column spa_questions.created_at is 'When it was accepted, UTC.';

create table spa_selection_sets (
    selection_id varchar primary key, settings json not null, hash varchar not null, created_at timestamp not null
);
comment on table spa_selection_sets is 'One row for each selection of training data from a model''s own answers.';
comment on column spa_selection_sets.selection_id is 'Name of the selection.';
comment on column spa_selection_sets.settings is 'What it was made with, as JSON.';
comment on column spa_selection_sets.hash is 'Hash of the settings and of the rows.';
comment on column spa_selection_sets.created_at is 'When it was made, UTC.';

create table spa_selections (
    selection_id varchar not null, method varchar not null, reading varchar not null, question_id varchar not null,
    country varchar not null, unaware smallint, aware smallint not null, divergence double, noise double,
    rank integer not null
);
comment on table spa_selections is 'What each selection holds: pairs of a question and a culture, with the answer to be learned.';
comment on column spa_selections.selection_id is 'Row of spa_selection_sets.';
comment on column spa_selections.method is 'crqpc (the answers differ), rds (random), cds (the answers agree) or divergence (ranked by the distance of the two distributions).';
comment on column spa_selections.reading is 'How the answers were read: logprobs, text-strict or text-lenient.';
comment on column spa_selections.question_id is 'The question.';
comment on column spa_selections.country is 'The culture, ISO 3166 alpha-3.';
comment on column spa_selections.unaware is 'Option chosen without a culture; null where there was no valid answer.';
comment on column spa_selections.aware is 'Option chosen for the culture: the label to be learned.';
comment on column spa_selections.divergence is 'Total variation of the two distributions of answers, as it was then.';
comment on column spa_selections.noise is 'Total variation that sampling and option order alone would give; null where that is not known.';
comment on column spa_selections.rank is 'Place in the selection, from 1.';

create table control_texts (
    number integer not null, subject varchar not null, model varchar not null, text varchar, problem varchar,
    template_hash varchar not null, prompt_hash varchar not null, seed integer not null, prompt_tokens integer,
    cached_tokens integer, completion_tokens integer, cost double, latency_s double not null, asked_at timestamp not null
);
comment on table control_texts is 'Plain texts on everyday subjects by the model that plays: training on them shows what training on its own words does without any scene.';
comment on column control_texts.number is 'Number of the text, from 1.';
comment on column control_texts.subject is 'What it is about.';
comment on column control_texts.model is 'Model that wrote it.';
comment on column control_texts.text is 'Generated text; of a failed call the error message.';
comment on column control_texts.problem is 'Null, or why it is not used: empty, or the failure of the call.';
comment on column control_texts.template_hash is 'Row of templates that the prompt was made from.';
comment on column control_texts.prompt_hash is 'Hash of the whole prompt.';
comment on column control_texts.seed is 'Seed of the sampling.';
comment on column control_texts.prompt_tokens is 'Prompt tokens; null where the engine does not tell.';
comment on column control_texts.cached_tokens is 'Prompt tokens served from the prefix cache; null where the engine does not tell.';
comment on column control_texts.completion_tokens is 'Completion tokens; null where the engine does not tell.';
comment on column control_texts.cost is 'US dollars; null where no price is known.';
comment on column control_texts.latency_s is 'Seconds from request to reply, waiting and retries included.';
comment on column control_texts.asked_at is 'When it was asked, UTC.';

create table adapters (
    adapter varchar primary key, arm varchar not null, culture varchar not null, base varchar not null,
    corpus varchar not null, corpus_hash varchar not null, rows integer not null, tokens bigint not null,
    learned_tokens bigint not null, cut_rows integer not null, steps integer not null, loss_first double,
    loss_last double, tokens_per_second double, seconds double, settings json not null, made_at timestamp not null
);
comment on table adapters is 'Adapters that an experiment trained, with the corpora they learned from.';
comment on column adapters.adapter is 'Folder of the adapter, from the folder of the experiment.';
comment on column adapters.arm is 'What the corpus holds: clca, dialogue-only and so on.';
comment on column adapters.culture is 'ISO 3166 alpha-3 code, or joint for an adapter of all cultures.';
comment on column adapters.base is 'Fingerprint of the model that was adapted.';
comment on column adapters.corpus is 'Folder of the corpus, from the folder of the experiment.';
comment on column adapters.corpus_hash is 'Hash of its rows.';
comment on column adapters.rows is 'Rows it learned from.';
comment on column adapters.tokens is 'Tokens of these rows, prompts included, once.';
comment on column adapters.learned_tokens is 'Tokens among them that count in the loss.';
comment on column adapters.cut_rows is 'Rows cut at the end of a turn to fit the context.';
comment on column adapters.steps is 'Optimiser steps.';
comment on column adapters.loss_first is 'Loss of the first step, nats per learned token.';
comment on column adapters.loss_last is 'Mean loss of the last tenth of the steps.';
comment on column adapters.tokens_per_second is 'Tokens trained on per second.';
comment on column adapters.seconds is 'Seconds of training.';
comment on column adapters.settings is 'The training''s configuration.';
comment on column adapters.made_at is 'When it was added, UTC.';

-- What floors below say with fewer words.
comment on column launches.stage is 'run, branch, critique, label, survey, texts, or a step of CultureSPA: spa-generate, spa-collect, spa-import.';
comment on column runs.kind is 'run, survey, spa (CultureSPA) or experiment.';
