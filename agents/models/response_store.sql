-- The response cache: what models answered, by what they were asked.

begin immediate;
create table if not exists models (
    model text primary key,         -- hash of name and options
    name text not null,             -- as the user asked for it
    options text not null           -- those that shape answers, JSON; an adapter by its contents
);
create table if not exists responses (
    request blob not null,          -- SHA-256 of model, messages, sampling, schema, or options and floor
    replicate integer not null,     -- 0 for the first such request of a launch, 1 for the second
    verb text not null check (verb in ('complete', 'score')),
    model text not null,            -- row of models
    prompt_hash text not null,      -- as in the log of a run, calls.prompt_hash
    seed integer,
    reply text not null,            -- the answer; of a score the log-probabilities, null for -inf
    finish_reason text,             -- stop or length; null for a score
    prompt_tokens integer,
    completion_tokens integer,
    cached_tokens integer,
    cost real,                      -- US dollars that it took; null where no price is known
    endpoint text,                  -- where it came from, for a model with several endpoints
    kept_at text not null default current_timestamp,
    reasoning text,                 -- what the model thought beside its answer; null for none
    reasoning_tokens integer,       -- of the completion tokens; null where the endpoint does not tell
    unique (request, replicate)
);
pragma application_id = 1718578283;
pragma user_version = 1;
commit;
