-- At scale: which endpoint served a call, episodes that branch off from others, and shards that were merged in.

alter table calls add column endpoint varchar;
comment on column calls.endpoint is 'Where the reply came from: the endpoint of a pool by name, or response-cache; null for a model that is one engine, and for a failed call.';

create table branches (
    episode_id varchar primary key, parent_id varchar not null, at_turn integer not null, number integer not null,
    changes json not null
);
comment on table branches is 'Episodes that start from the middle of another one.';
comment on column branches.episode_id is 'The episode that branched off.';
comment on column branches.parent_id is 'The episode whose beginning it shares.';
comment on column branches.at_turn is 'Last turn that both share; 0 where they share none.';
comment on column branches.number is 'Number of the branch among those of the same kind, from 1.';
comment on column branches.changes is 'What was changed at that point, as JSON: set and say; empty for another seed alone.';

create table merged_shards (shard_id varchar primary key, work varchar not null, records integer not null, merged_at timestamp not null);
comment on table merged_shards is 'Shards that workers wrote and that are in this store; a shard is merged whole and once.';
comment on column merged_shards.shard_id is 'Name of the shard.';
comment on column merged_shards.work is 'What the worker did: run, critique, label, survey or spa-collect.';
comment on column merged_shards.records is 'Records in it, such as episodes or sheets.';
comment on column merged_shards.merged_at is 'When it was merged, UTC.';
