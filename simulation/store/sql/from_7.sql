-- From version 7 to 8: reasoning apart from answers, choices that fell back on a default, what was cut from an act, texts that
-- steer judges, ratings of turns, what tells runs in one store apart, and words as they are counted now.

alter table calls add column reasoning varchar;
alter table calls add column reasoning_tokens integer;
alter table turns add column cut varchar;
alter table cases add column injection varchar;
alter table cases add column language varchar;
alter table cases add column wants varchar;
alter table ratings add column turn integer;
alter table choices add column fallback boolean;
update choices set fallback = why in ('no bid could be read', 'the moderator''s answer could not be read');
alter table episodes add column conditioning varchar;
update episodes set conditioning = configured.conditioning
from (select run_id, nullif(regexp_extract(config, '(?m)^conditioning: *(\w+)', 1), '') as conditioning from runs) configured
where episodes.run_id = configured.run_id;
update turns set words = spoken_words(action, text) where words is distinct from spoken_words(action, text);
