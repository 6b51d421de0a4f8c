alter table survey_replies add column reasoning varchar;
alter table survey_replies add column reasoning_tokens integer;
alter table survey_conditions add column chat_hash varchar;
alter table survey_people add column independent double;
alter table survey_people add column clusters double;
alter table survey_respondents add column cluster bigint;
