alter table survey_replies add column reasoning varchar;
alter table survey_replies add column reasoning_tokens integer;
