-- From version 7 to 8, once all columns are there: choices that fell back on a default, what people were told of their culture,
-- and words as they are counted now.

update choices set fallback = why in ('no bid could be read', 'the moderator''s answer could not be read');
update episodes set conditioning = configured.conditioning
from (select run_id, nullif(regexp_extract(config, '(?m)^conditioning: *(\w+)', 1), '') as conditioning from runs) configured
where episodes.run_id = configured.run_id;
update turns set words = spoken_words(action, text) where words is distinct from spoken_words(action, text);
