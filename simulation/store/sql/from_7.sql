-- From version 7 to 8: reasoning apart from answers, choices that fell back on a default, what was cut from an act and thought
-- with it, texts that steer judges, ratings of turns, what tells runs in one store apart, what a scene keeps count of, and words
-- as they are counted now.

alter table calls add column reasoning varchar;
alter table calls add column reasoning_tokens integer;
alter table turns add column cut varchar;
alter table turns add column thought varchar;
alter table cases add column injection varchar;
alter table cases add column language varchar;
alter table cases add column wants varchar;
alter table ratings add column turn integer;
alter table choices add column fallback boolean;
update choices set fallback = why in ('no bid could be read', 'the moderator''s answer could not be read');
alter table roles add column model varchar;
alter table episodes add column conditioning varchar;
update episodes set conditioning = configured.conditioning
from (select run_id, nullif(regexp_extract(config, '(?m)^conditioning: *(\w+)', 1), '') as conditioning from runs) configured
where episodes.run_id = configured.run_id;
update turns set words = spoken_words(action, text) where words is distinct from spoken_words(action, text);
create table world (
    episode_id varchar not null, step integer not null, after_turn integer not null, phase varchar, round integer not null,
    cause varchar not null, variable varchar not null, role varchar, value varchar not null, number double
);
create table decisions (
    episode_id varchar not null, turn integer not null, step integer not null, phase varchar, round integer not null,
    role varchar not null, act varchar, args json not null, granted json, allowed boolean not null, reason varchar,
    cooperation double, outcome varchar, outcome_reason varchar, judge_failure varchar, judge_call integer
);
create table votes (
    episode_id varchar not null, turn integer not null, step integer not null, phase varchar, round integer not null,
    role varchar not null, choice varchar not null, rank integer not null, won boolean not null
);
create table payoffs (episode_id varchar not null, role varchar not null, payoff double);
