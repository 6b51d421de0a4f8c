alter table survey_replies add column reasoning varchar;
alter table survey_replies add column reasoning_tokens integer;
alter table survey_conditions add column chat_hash varchar;
