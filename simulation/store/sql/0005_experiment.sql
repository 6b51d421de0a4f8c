-- Experiments: several configurations in one store, texts of no scene for comparison, and the adapters that were trained.

alter table runs add column kind varchar default 'run';
update runs set kind = 'survey' where exists (from survey_conditions);
comment on table runs is 'The configurations that reproduce what is in this store: one row for each kind of work.';
comment on column runs.kind is 'run, survey, spa (CultureSPA) or experiment.';
comment on column runs.run_id is 'Name of the run, by default the name of its folder.';

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
