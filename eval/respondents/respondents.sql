-- A file of respondents: what stands beside the tables respondents and answers, whose columns depend on the items.

create table meta (key varchar primary key, value varchar not null);
comment on table meta is 'What kind of file this is and where its answers come from.';
comment on column meta.key is 'Name of the property.';
comment on column meta.value is 'Value of the property.';

create table items (
    item varchar primary key, ask varchar not null, scale varchar not null, source_column varchar
);
comment on table items is 'The items and indices whose answers this file holds, in the order of the questionnaire.';
comment on column items.item is 'Id of the item, its column in wave 7.';
comment on column items.ask is 'What is asked, in our own words.';
comment on column items.scale is 'ordinal, nominal, binary, or index for what the file itself computed from other items.';
comment on column items.source_column is 'Column of the file that was read; null for synthetic answers.';

create table codes (
    item varchar not null, raw smallint not null, code smallint, status varchar not null, label varchar
);
comment on table codes is 'What each number of an item stands for; a number without a row here is out of range.';
comment on column codes.item is 'The item.';
comment on column codes.raw is 'Number as the wave-7 file has it.';
comment on column codes.code is 'Point of the scale; null where the number is no valid answer.';
comment on column codes.status is 'valid, other (an option that is no point of the scale), don''t know, no answer, not applicable, not asked, or missing.';
comment on column codes.label is 'The option in our own words.';

create table notes (
    subject varchar not null, country varchar, problem varchar not null, respondents bigint not null, detail varchar
);
comment on table notes is 'Everything that was left out, changed or doubtful when this file was made, with counts.';
comment on column notes.subject is 'respondents, weights, or the name of a column.';
comment on column notes.country is 'ISO 3166 alpha-3; null where several countries are counted together.';
comment on column notes.problem is 'What was found.';
comment on column notes.respondents is 'How many respondents it concerns.';
comment on column notes.detail is 'What was done about it, or the values found.';
