-- Views on conversations, turns, intents, costs and measures. Where they join grouped queries, it is so that DuckDB can leave
-- out those whose columns nobody asks for.

-- Conversations ------------------------------------------------------------------------------------------------------

create or replace macro stage_of(purpose) as case purpose
    when 'draft-critic' then 'critic in the loop' when 'critique' then 'critique'
    when 'label' then 'labels' when 'categorise' then 'labels' else 'play' end;
comment on macro stage_of is
    'stage_of(purpose): play, critic in the loop, critique or labels: what a model call was made for.';

create or replace view conversations as
select
    e.*, r.roles, len(r.roles) as n_roles, r.mixed_cast, coalesce(t.spoken_turns, 0) as spoken_turns,
    coalesce(t.spoken_words, 0) as spoken_words, c.prompt_tokens, c.completion_tokens,
    c.prompt_tokens + c.completion_tokens as tokens, c.cost, c.play_cost, c.review_cost,
    coalesce(c.unpriced_calls, 0) as unpriced_calls
from latest_episodes e
left join (
    select episode_id, list(role order by rowid) as roles, min(culture_id) <> max(culture_id) as mixed_cast
    from roles group by episode_id
) r using (episode_id)
left join (
    select episode_id, count(*) as spoken_turns, sum(words)::bigint as spoken_words
    from turns where action in ('speak', 'leave') and text is not null group by episode_id
) t using (episode_id)
left join (
    select episode_id, sum(prompt_tokens)::bigint as prompt_tokens, sum(completion_tokens)::bigint as completion_tokens,
        sum(cost) as cost, sum(cost) filter (stage_of(purpose) in ('play', 'critic in the loop')) as play_cost,
        sum(cost) filter (stage_of(purpose) not in ('play', 'critic in the loop')) as review_cost,
        count(*) - count(cost) as unpriced_calls
    from calls group by episode_id
) c using (episode_id);
comment on view conversations is
    'One row per episode, the latest attempt of each content, with its totals. Branches are in branch_pairs instead.';
comment on column conversations.roles is 'Role ids in the order of the scenario file.';
comment on column conversations.n_roles is 'Number of roles.';
comment on column conversations.mixed_cast is 'Whether the cast comes from more than one culture.';
comment on column conversations.spoken_turns is 'Number of turns in which something was said.';
comment on column conversations.spoken_words is
    'Number of words said; in scripts written without spaces, of characters.';
comment on column conversations.prompt_tokens is 'Prompt tokens of all calls, play and review; null where the engine does not tell.';
comment on column conversations.completion_tokens is
    'Completion tokens of all calls, play and review; null where the engine does not tell.';
comment on column conversations.tokens is 'Prompt and completion tokens together.';
comment on column conversations.cost is
    'US dollars of all calls that have a price, play and review together, so that it grows with every critique; null '
    'where none has one.';
comment on column conversations.play_cost is
    'US dollars of playing it, the critic in the loop included; null where no such call has a price.';
comment on column conversations.review_cost is
    'US dollars of critiques and labels so far; null where no such call has a price.';
comment on column conversations.unpriced_calls is
    'Calls, failed ones included, whose price is not known: with any, the sums in dollars are lower bounds.';

create or replace macro accepted(policy) as table
from conversations where episode_id in (select episode_id from fates(policy) where fate = 'accepted');
comment on macro table accepted is
    'accepted(policy): the conversations that a filter policy accepts; columns as in conversations. Policies: clca, strict, '
    'lenient, needs-review.';

create or replace view accepted_episodes as from accepted('clca');
comment on view accepted_episodes is
    'Conversations that the policy clca accepts: played to an end, judged, and not dropped by the critics. The corpus '
    'for training; accepted(policy) has the same for other policies.';

create or replace view relationship_versions as
with ties as (
    select scenario_hash, scenario_id, rowid as version, unnest(json_extract(data, '$.relationships[*]')) as tie
    from scenarios
), seen_from as (
    select *, tie ->> '$.between[0]' as role, tie ->> '$.between[1]' as other, 1 as side from ties
    union all
    select *, tie ->> '$.between[1]', tie ->> '$.between[0]', -1 from ties
)
select
    scenario_hash, scenario_id, version, role, other, any_value(tie ->> '$.type') as type,
    any_value((tie ->> '$.closeness')::integer) as closeness, any_value(side * (tie ->> '$.status')::integer) as status
from seen_from
group by scenario_hash, scenario_id, version, role, other;
comment on view relationship_versions is
    'How two roles stand to each other in each version of a scenario that was played; one row in each direction. To join '
    'with episodes by scenario_hash.';
comment on column relationship_versions.scenario_hash is 'Row of the table scenarios.';
comment on column relationship_versions.scenario_id is 'Id of the scenario.';
comment on column relationship_versions.version is 'Number that grows with each version that is stored.';
comment on column relationship_versions.role is 'The role looked from.';
comment on column relationship_versions.other is 'The role looked at.';
comment on column relationship_versions.type is 'Kind of tie, such as mother and son.';
comment on column relationship_versions.closeness is '0 strangers to 5 as close as people get.';
comment on column relationship_versions.status is 'How far role stands above other, -3 to 3; negative when below.';

create or replace view relationships as
select
    scenario_id, role, other, arg_max(type, version) as type, arg_max(closeness, version) as closeness,
    arg_max(status, version) as status
from relationship_versions
group by scenario_id, role, other;
comment on view relationships is
    'How two roles of a scenario stand to each other; one row in each direction. Of several versions of a '
    'scenario the newest; relationship_versions has them all.';

-- Turns --------------------------------------------------------------------------------------------------------------

create or replace macro readable(action, text, whisper, failure) as case
    when failure is not null then '[no reply: ' || failure || ']'
    when action = 'speak' and whisper then '(whispering) ' || text
    when action = 'speak' then text
    when action = 'non-verbal' then '[' || text || ']'
    when action = 'leave' then concat_ws(' ', text, '[leaves]')
    else '[does nothing]' end;
comment on macro readable is
    'readable(action, text, whisper, failure): an act as one line; what is not speech stands in square brackets.';

-- Most acts name one role or none: these go without a search through lists.
create or replace macro is_named(action, addressees, audience) as
    action is not null and action <> 'none' and (
        len(addressees) = 1 and list_contains(audience, addressees[1])
        or len(addressees) > 1 and list_has_any(addressees, audience));
comment on macro is_named is
    'is_named(action, addressees, audience): whether an act is addressed to somebody by name who perceived it.';

create or replace macro hearers_of(action, addressees, audience) as case
    when action is null or action = 'none' then []
    when len(addressees) = 1 and list_contains(audience, addressees[1]) then addressees
    when len(addressees) > 1 and list_has_any(addressees, audience)
        then list_filter(addressees, lambda role: list_contains(audience, role))
    when len(audience) = 1 then audience else [] end;
comment on macro hearers_of is
    'hearers_of(action, addressees, audience): the roles that an act is for: the addressees who perceived it; otherwise the '
    'only one who could; otherwise none.';

create or replace view turns_readable as
select
    t.episode_id, e.scenario_id, e.culture_id, coalesce(r.people[t.speaker].model, e.model) as model, t.turn, t.step,
    t.phase, t.speaker, r.people[t.speaker].name as name, r.people[t.speaker].culture_id as speaker_culture_id, t.action,
    readable(t.action, t.text, t.whisper, t.failure) as line, t.words, t.addressees, t.audience, t.whisper, t.failure,
    hearers_of(t.action, t.addressees, t.audience) as hearers,
    case when is_named(t.action, t.addressees, t.audience) then 'named'
        when t.action <> 'none' and len(t.audience) = 1 then 'only-one-present' else 'nobody' end as addressed_how,
    e.run_id, e.scenario_hash, e.conditioning, t.thought
from turns t
left join (
    select episode_id,
        map_from_entries(list((role, {'name': name, 'culture_id': culture_id, 'model': model}))) as people
    from roles group by episode_id
) r using (episode_id)
join latest_episodes e using (episode_id);
comment on view turns_readable is
    'Every turn as one would read it, with who said it to whom. Rows come in no order: order by episode_id, turn.';
comment on column turns_readable.culture_id is 'The culture the scene was played in, ISO 3166 alpha-3.';
comment on column turns_readable.model is 'The model that played the speaker.';
comment on column turns_readable.speaker_culture_id is
    'Culture the speaker is conditioned on, ISO 3166 alpha-3; in a mixed cast not always the scene''s.';
comment on column turns_readable.line is 'What was said; acts, exits and failures in square brackets.';
comment on column turns_readable.hearers is
    'Roles that the act is for: the addressees who perceived it; otherwise the only one who could; otherwise none.';
comment on column turns_readable.addressed_how is
    'named: an addressee perceived it; only-one-present: nobody was named who did, and one role alone perceived it; nobody: '
    'it is for nobody in particular, unheard, or no act.';

create or replace view says_and_thinks as
select
    episode_id, scenario_id, culture_id, model, turn, phase, speaker, name, action, line, thought, audience, failure, words,
    words(thought) as thought_words,
    len(list_intersect(list_distinct(folded_words(thought)), folded_words(line)))
        / nullif(len(list_distinct(folded_words(thought))), 0) as said_share
from turns_readable where thought is not null;
comment on view says_and_thinks is
    'What was said or done beside what was thought with it, of turns that have a thought (play.thoughts). Rows come in no '
    'order: order by episode_id, turn.';
comment on column says_and_thinks.thought_words is 'Number of words of the thought.';
comment on column says_and_thinks.said_share is 'Share of the different words of the thought that stand in the line too.';

create or replace view turn_intents as
select t.*, i.labeller, i.intent, i.relevance, i.expectation, c.taxonomy, c.category
from turns_readable t
left join last_intents i using (episode_id, turn)
left join (
    from categories where failure is null
    qualify row_number() over (partition by episode_id, turn, model, taxonomy order by labelled_at desc) = 1
) c on c.episode_id = t.episode_id and c.turn = t.turn and c.model = i.labeller;
comment on view turn_intents is
    'Every turn with the intent behind it, and its category in a taxonomy; null where there is no label. A turn '
    'labelled by two models, or mapped to two taxonomies, is two rows.';
comment on column turn_intents.category is 'Category of the intent in it.';

create or replace view turn_choices as
select
    x.episode_id, e.scenario_id, e.culture_id, x.step, t.turn, x.policy, x.speaker, x.why, x.bids[x.speaker] as bid,
    x.bids, x.candidates, e.run_id, e.scenario_hash, coalesce(r.model, e.model) as model, e.conditioning, x.fallback
from (select *, unnest(chosen) as speaker from choices) x
join latest_episodes e using (episode_id)
left join roles r on r.episode_id = x.episode_id and r.role = x.speaker
left join (
    select episode_id, step, speaker, min(turn) as turn from turns group by episode_id, step, speaker
) t using (episode_id, step, speaker);
comment on view turn_choices is 'Why each speaker was chosen: one row per step and chosen role.';
comment on column turn_choices.turn is 'Number of the act that followed; null where the episode ended before it.';
comment on column turn_choices.speaker is 'Role that was chosen.';
comment on column turn_choices.model is 'The model that plays the speaker.';
comment on column turn_choices.bid is 'The speaker''s bid, 0 to 10, under bidding; else null.';

create or replace view who_spoke_to_whom as
select
    t.scenario_id, t.culture_id, t.speaker, t.hearer, t.turns, t.words, r.type, r.closeness, r.status, t.run_id,
    t.scenario_hash, t.model, t.conditioning
from (
    select run_id, scenario_id, scenario_hash, culture_id, model, conditioning, speaker, hearer, count(*) as turns,
        sum(words)::bigint as words
    from (
        select e.run_id, e.scenario_id, e.scenario_hash, e.culture_id, coalesce(r.model, e.model) as model,
            e.conditioning, t.speaker, unnest(hearers_of(t.action, t.addressees, t.audience)) as hearer, t.words
        from turns t join latest_episodes e using (episode_id)
        left join roles r on r.episode_id = t.episode_id and r.role = t.speaker
        where t.action in ('speak', 'leave') and t.text is not null
    )
    group by run_id, scenario_id, scenario_hash, culture_id, model, conditioning, speaker, hearer
) t
left join relationship_versions r on r.scenario_hash = t.scenario_hash and r.role = t.speaker and r.other = t.hearer;
comment on view who_spoke_to_whom is
    'How often roles spoke to each other: to those named who heard it, otherwise to the only one who could. Words for '
    'nobody in particular are left out; a line to two hearers counts for each.';
comment on column who_spoke_to_whom.speaker is 'Role that spoke.';
comment on column who_spoke_to_whom.model is 'The model that played the speaker.';
comment on column who_spoke_to_whom.hearer is 'Role that was spoken to, and heard it.';
comment on column who_spoke_to_whom.turns is 'Number of spoken turns.';
comment on column who_spoke_to_whom.words is 'Number of words in them.';
comment on column who_spoke_to_whom.type is 'Kind of tie between the two; null where the scenario names none.';
comment on column who_spoke_to_whom.status is 'How far the speaker stands above the hearer, -3 to 3.';

create or replace view intents_by_culture as
select
    e.culture_id, e.theme, i.model as labeller, count(i.relevance) as labelled,
    count(*) filter (i.relevance = 'cultural') as cultural, count(*) filter (i.relevance = 'generic') as generic,
    count(*) - count(i.relevance) as failed,
    count(*) filter (i.relevance = 'cultural') / nullif(count(i.relevance), 0) as cultural_share, e.run_id,
    e.model as played_by, e.conditioning
from (
    select episode_id, model, arg_max(relevance, labelled_at) filter (failure is null) as relevance
    from intents group by episode_id, turn, model
) i
join latest_episodes e using (episode_id)
group by e.run_id, e.culture_id, e.theme, e.model, e.conditioning, i.model;
comment on view intents_by_culture is
    'How many turns were labelled with an intent, and how many of the intents are cultural. A turn labelled by '
    'two models counts for each.';
comment on column intents_by_culture.labeller is 'Model that labelled.';
comment on column intents_by_culture.labelled is 'Turns with a label.';
comment on column intents_by_culture.cultural is 'Labels that rest on a cultural expectation.';
comment on column intents_by_culture.generic is 'Labels that do not.';
comment on column intents_by_culture.failed is 'Turns whose label failed and was not made good.';
comment on column intents_by_culture.cultural_share is 'Share of cultural among all labels, 0 to 1; null without a label.';
comment on column intents_by_culture.played_by is 'The model that played the scenes.';

-- Costs and failures -------------------------------------------------------------------------------------------------

create or replace view token_costs as
select
    c.model, c.purpose, e.culture_id, count(*) as calls, count(c.failure) as failed_calls,
    sum(c.attempts - 1)::bigint as retries, sum(c.prompt_tokens)::bigint as prompt_tokens,
    sum(c.cached_tokens)::bigint as cached_tokens, sum(c.completion_tokens)::bigint as completion_tokens,
    sum(c.cost) as cost, avg(c.latency_s) as mean_latency_s, count(*) - count(c.cost) as unpriced_calls, e.run_id
from calls c
join episodes e using (episode_id)
where c.endpoint is distinct from 'parent'
group by e.run_id, c.model, c.purpose, e.culture_id;
comment on view token_costs is
    'What the model calls took, every attempt and every branch included; what a branch shares with its parent counts once. '
    'More than what the episodes of conversations took: for these, join calls with conversations.';
comment on column token_costs.calls is 'Number of calls.';
comment on column token_costs.failed_calls is 'Calls that failed for good.';
comment on column token_costs.retries is 'Requests repeated by the client.';
comment on column token_costs.mean_latency_s is 'Mean time from request to reply, seconds.';
comment on column token_costs.unpriced_calls is 'Calls without a known price: with any, cost is a lower bound.';

create or replace view stage_costs as
with spent as (
    select
        e.run_id, stage_of(c.purpose) as stage, count(*) as calls, count(*) filter (b.episode_id is null) as own_calls,
        sum(c.prompt_tokens)::bigint as prompt_tokens, sum(c.cached_tokens)::bigint as cached_tokens,
        sum(c.completion_tokens)::bigint as completion_tokens, sum(c.cost) as cost,
        sum(c.prompt_tokens + c.completion_tokens) filter (b.episode_id is null) as own_tokens,
        count(*) - count(c.cost) as unpriced_calls,
        sum(c.cached_tokens) / nullif(sum(c.prompt_tokens) filter (c.cached_tokens is not null), 0) as cached_share
    from calls c join episodes e using (episode_id) left join branches b using (episode_id)
    where c.endpoint is distinct from 'parent'
    group by e.run_id, stage
)
select
    s.stage, s.calls, s.prompt_tokens, s.cached_tokens, s.completion_tokens, s.cost, s.own_calls / a.accepted as calls_per_accepted,
    s.own_tokens / a.accepted as tokens_per_accepted, s.unpriced_calls, s.cached_share, s.run_id
from spent s
left join (
    select run_id, count(*) as accepted from episode_fates where fate = 'accepted' group by run_id
) a using (run_id);
comment on view stage_costs is
    'What each stage took, every attempt and branch included, and what that makes for each episode that the policy clca '
    'accepts, branches left out.';
comment on column stage_costs.stage is 'play, critic in the loop, critique or labels.';
comment on column stage_costs.calls is 'Number of calls.';
comment on column stage_costs.calls_per_accepted is 'Calls for each accepted episode; null where none is.';
comment on column stage_costs.tokens_per_accepted is 'Tokens for each accepted episode; null where none is.';
comment on column stage_costs.unpriced_calls is 'Calls without a known price: with any, cost is a lower bound.';
comment on column stage_costs.cached_share is
    'Share of the prompt tokens served from the prefix cache, of the calls whose engine tells; null where none does.';

create or replace view endpoint_loads as
select
    c.model, endpoint, count(*) as calls, count(failure) as failed_calls, sum(attempts - 1)::bigint as retries,
    sum(prompt_tokens)::bigint as prompt_tokens, sum(cached_tokens)::bigint as cached_tokens,
    sum(completion_tokens)::bigint as completion_tokens, sum(cost) as cost, avg(latency_s) as mean_latency_s,
    median(latency_s) as median_latency_s, quantile_cont(latency_s, 0.95) as p95_latency_s,
    count(*) - count(cost) as unpriced_calls, e.run_id
from calls c left join episodes e using (episode_id)
where endpoint is distinct from 'parent'
group by e.run_id, c.model, endpoint;
comment on view endpoint_loads is
    'What each endpoint of a pool served, every attempt at an episode included. A call that failed for good belongs to '
    'no endpoint.';
comment on column endpoint_loads.endpoint is
    'Endpoint by name, or response-cache; null for failed calls, and for a model that is one engine.';
comment on column endpoint_loads.calls is 'Number of calls.';
comment on column endpoint_loads.failed_calls is 'Calls that failed for good; other than 0 only where endpoint is null.';
comment on column endpoint_loads.retries is 'Requests beyond the first of each call, wherever they went.';
comment on column endpoint_loads.prompt_tokens is 'Prompt tokens; null where the endpoint does not tell.';
comment on column endpoint_loads.cached_tokens is
    'Prompt tokens served from the prefix cache; null where the endpoint does not tell.';
comment on column endpoint_loads.completion_tokens is 'Completion tokens; null where the endpoint does not tell.';
comment on column endpoint_loads.mean_latency_s is 'Mean time from request to reply, waiting and retries included, seconds.';
comment on column endpoint_loads.median_latency_s is 'Its median.';
comment on column endpoint_loads.p95_latency_s is 'Time within which 95 % of the calls were answered, seconds.';
comment on column endpoint_loads.unpriced_calls is 'Calls without a known price: with any, cost is a lower bound.';
comment on column endpoint_loads.run_id is 'The run; null for calls of no episode.';

create or replace view failures as
select t.episode_id, e.scenario_id, e.culture_id, 'turn' as kind, t.turn, t.call, t.speaker as role,
    'act' as purpose, t.failure, null as message, e.run_id
from turns t join episodes e using (episode_id) left join branches b using (episode_id)
where t.failure is not null and t.turn > coalesce(b.at_turn, 0)
union all
select c.episode_id, e.scenario_id, e.culture_id, 'call', null, c.call, c.role, c.purpose, c.failure, c.reply, e.run_id
from calls c join episodes e using (episode_id)
where c.failure is not null and c.endpoint is distinct from 'parent';
comment on view failures is
    'Every turn and every call that failed, in every attempt. A turn that failed and the call it rests on are two '
    'rows.';
comment on column failures.kind is 'turn or call.';
comment on column failures.turn is 'Number of the turn; null for a call.';
comment on column failures.call is 'Number of the call in the episode.';
comment on column failures.failure is 'Kind of failure.';
comment on column failures.message is 'The error message of a failed call; null for a turn.';

-- Measures -----------------------------------------------------------------------------------------------------------

create or replace macro names_filled(line, people) as case
    when contains(line, '{') then list_reduce(list_prepend(line, people), lambda filled, one:
        replace(filled, '{' || split_part(one, '=', 1) || '}', substr(one, instr(one, '=') + 1)))
    else line end;
comment on macro names_filled is
    'names_filled(line, people): a text of a scenario with the names of roles in the place of {role}; people: role=name.';

create or replace view secret_leaks as
with teams as (
    select scenario_hash, team, data -> '$.teams' -> team ->> 'secret' as secret,
        (data -> '$.teams' -> team -> 'roles')::varchar[] as members
    from (select scenario_hash, data, unnest(json_keys(data, '$.teams')) as team from scenarios)
), people as (
    -- Only where a text names a role: what is cut into sequences depends on the cast there alone.
    select episode_id, list(role || '=' || name order by role) as people
    from roles join episodes using (episode_id) join scenarios using (scenario_hash)
    where contains(data::varchar, '{') and regexp_matches(data::varchar, '\{[a-z][a-z0-9_]*\}')
    group by episode_id
), held as (
    select r.episode_id, e.scenario_hash, r.role, r.name, r.model, null as team, r.secret, [r.role] as members, p.people
    from roles r join episodes e using (episode_id) left join people p using (episode_id) where r.secret is not null
    union all
    select r.episode_id, e.scenario_hash, r.role, r.name, r.model, t.team, names_filled(t.secret, p.people), t.members, p.people
    from teams t join episodes e using (scenario_hash)
    join roles r on r.episode_id = e.episode_id and list_contains(t.members, r.role)
    left join people p on p.episode_id = e.episode_id
    where t.secret is not null
), secrets as (
    select *, list_transform(list_concat(sequences, list_transform(sequences, lambda words: turned(words))),
        lambda words: ltrim(words)) as probes
    from (
        select scenario_hash, secret, people, list_filter(
            word_sequences(stems(secret), case when regexp_matches(stems(secret), unspaced_scripts()) then 5 else 2 end),
            lambda words: contains(trim(words), ' ') and not contains(known, words) and not contains(known, turned(words))
        ) as sequences
        from (
            select scenario_hash, secret, people, stems(names_filled(concat_ws(
                ' ', data ->> '$.setting', data ->> '$.roles.*.brief', data ->> '$.events[*].text',
                data ->> '$.phases[*].brief', list_transform(
                    list_filter(
                        json_extract(data, '$.roles.*'),
                        lambda part: json_extract_string(part, '$.public_goal') = 'true'),
                    lambda part: json_extract_string(part, '$.goal'))
            ), people)) as known
            from (select distinct scenario_hash, secret, people from held) join scenarios using (scenario_hash)
        )
    )
), lines as (
    select t.episode_id, h.role, h.team, t.turn, t.text, t.audience, s.sequences, s.probes, nearby(stems(t.text)) as line
    from turns t
    join held h on h.episode_id = t.episode_id and h.role = t.speaker
    join secrets s on s.scenario_hash = h.scenario_hash and s.secret = h.secret
        and s.people is not distinct from h.people
    where t.action in ('speak', 'leave') and t.text is not null and not list_has_all(h.members, t.audience)
        and s.sequences <> []
), found as (
    select *, len(list_filter(
            sequences, lambda words: contains(line, words) or contains(line, turned(words)))) as said,
        least(3, greatest(ceil(len(sequences) / 2), least(2, len(sequences)))) as enough
    from lines
    -- A search that does not begin with a space is twice as fast, and few lines pass it.
    where len(list_filter(probes, lambda words: contains(line, words))) > 0
), told as (
    select episode_id, role, team, max(said) as said, min(turn) filter (said >= enough) as turn,
        arg_min(text, turn) filter (said >= enough) as evidence,
        arg_min(audience, turn) filter (said >= enough) as heard_by
    from found
    group by episode_id, role, team
)
select
    l.episode_id, l.scenario_id, l.culture_id, coalesce(h.model, l.model) as model, h.role, h.name, h.secret,
    len(s.sequences) as sequences, coalesce(t.said, 0) as most_said, case when s.sequences <> [] then t.turn is not null end as leaked, t.turn,
    t.evidence, t.heard_by, l.run_id, l.scenario_hash, l.conditioning, h.team
from held h
join latest_episodes l using (episode_id)
join secrets s on s.scenario_hash = h.scenario_hash and s.secret = h.secret and s.people is not distinct from h.people
left join told t on t.episode_id = h.episode_id and t.role = h.role and t.team is not distinct from h.team;
comment on view secret_leaks is
    'Whether a role gave away its own secret, or that of a team it is in, by its own words; a row for each secret it '
    'has. What only members of the team perceive gives nothing away. The secret is cut into every two stems in a row, as '
    'the macro stems makes them (every five characters where it is written without spaces); sequences that everyone is told '
    'anyway are left out. A turn may have two stems turned round, or one between them. One that others perceived leaks if it holds at least three of the sequences, or '
    'half of them where there are fewer than six, but two of two. Paraphrases go unnoticed: a lower bound.';
comment on column secret_leaks.scenario_id is 'Id of the scenario.';
comment on column secret_leaks.culture_id is 'The culture the scene was played in, ISO 3166 alpha-3.';
comment on column secret_leaks.model is 'The model that played the role.';
comment on column secret_leaks.role is 'Role that has the secret, alone or with its team.';
comment on column secret_leaks.secret is 'The secret.';
comment on column secret_leaks.sequences is 'Number of sequences looked for; 0: nothing to look for.';
comment on column secret_leaks.most_said is 'Most of them found in one turn.';
comment on column secret_leaks.leaked is 'Whether a turn leaked; null where there is nothing to look for.';
comment on column secret_leaks.turn is 'First turn that leaked.';
comment on column secret_leaks.evidence is 'Its text.';
comment on column secret_leaks.heard_by is 'Roles that perceived it.';
comment on column secret_leaks.scenario_hash is 'Row of the table scenarios: the version that was played.';
comment on column secret_leaks.conditioning is 'How much agents were told of their culture: none, name, dimensions or norms; unknown in old stores.';
comment on column secret_leaks.team is 'Team that shares the secret; null where the role alone has it.';

create or replace view leak_rates as
select
    culture_id, model, scenario_id, count(*) as roles_with_secret, count(leaked) as testable,
    count(*) filter (leaked) as leaked, count(*) filter (leaked) / nullif(count(leaked), 0) as leak_rate,
    run_id, scenario_hash, conditioning
from secret_leaks
group by run_id, culture_id, model, scenario_id, scenario_hash, conditioning;
comment on view leak_rates is 'How often roles gave away a secret; see secret_leaks.';
comment on column leak_rates.roles_with_secret is 'Roles with a secret, over all episodes; a role with two counts twice.';
comment on column leak_rates.testable is 'Of these, roles whose secret has words to look for.';
comment on column leak_rates.leaked is 'Roles that gave theirs away.';
comment on column leak_rates.leak_rate is 'leaked / testable, 0 to 1.';

create or replace view repetition as
with spoken as (
    select *, three_grams(telling) as grams, array_to_string(folded_words(text), ' ') as whole
    from (
        select episode_id, turn, step, speaker, text, without_courtesies(text) as telling
        from turns where action in ('speak', 'leave') and text is not null
    )
), compared as (
    select episode_id,
        (length(rtrim(folded(telling))) >= 25
            and len(list_intersect(grams, flatten(list(grams) over own))) >= len(list_distinct(grams)) / 2)
            or (whole <> '' and row_number() over (partition by episode_id, speaker, whole order by turn) > 2) as repeats,
        len(grams) > 0 and lag(speaker) over talk <> speaker and lag(step) over talk < step
            and len(list_intersect(grams, lag(grams) over talk)) >= len(list_distinct(grams)) / 2 as echoes
    from spoken
    window own as (partition by episode_id, speaker order by turn rows between unbounded preceding and 1 preceding),
        talk as (partition by episode_id order by turn)
)
select
    e.episode_id, e.scenario_id, e.culture_id, e.model, e.reply_form, count(*) as spoken_turns,
    count(*) filter (c.repeats) as repeated_turns, count(*) filter (c.echoes) as echoed_turns,
    count(*) filter (c.repeats) / count(*) as repetition_rate, count(*) filter (c.echoes) / count(*) as echo_rate,
    e.run_id, e.scenario_hash, e.conditioning
from compared c
join latest_episodes e using (episode_id)
group by
    e.episode_id, e.scenario_id, e.culture_id, e.model, e.reply_form, e.run_id, e.scenario_hash, e.conditioning;
comment on view repetition is
    'How much of what is said was said before, courtesies left out. A spoken turn repeats if it has at least 25 characters '
    'and half of its different three-word sequences were said earlier in the episode by the same speaker, or if the '
    'speaker says it for the third time; it echoes if at least half of them are in '
    'the spoken turn just before, by another speaker, in an earlier step. Single characters stand for words in '
    'scripts written without spaces, and count twice. Episodes without a word are missing.';
comment on column repetition.spoken_turns is 'Number of turns in which something was said.';
comment on column repetition.repeated_turns is 'Spoken turns that repeat.';
comment on column repetition.echoed_turns is 'Spoken turns that echo.';
comment on column repetition.repetition_rate is 'repeated_turns / spoken_turns, 0 to 1.';
comment on column repetition.echo_rate is 'echoed_turns / spoken_turns, 0 to 1.';

create or replace macro student_95(df) as case
    when df < 1 then null when df = 1 then 12.7062 when df = 2 then 4.3027
    else 1.959964 + 2.372272 / df + 2.822485 / (df * df) + 2.555857 / (df * df * df) + 1.589541 / (df * df * df * df) end;
comment on macro student_95 is
    'student_95(df): quantile 0.975 of Student''s t with df degrees of freedom, for a 95 % interval of a mean of few '
    'units, to 0.005 (Abramowitz and Stegun 1964, 26.7.5); null below 1.';

-- Branches -----------------------------------------------------------------------------------------------------------

create or replace view branch_turns as
with pairs as (
    select b.* from branches b join episodes e using (episode_id)
    where (e.content_hash, e.attempt) in (select content_hash, max(attempt) from episodes group by content_hash)
), sides as (
    select *, 'branch' as side, episode_id as source from pairs
    union all
    select *, 'parent', parent_id from pairs
)
select
    s.episode_id, s.parent_id, s.at_turn, s.number, s.side, t.turn, t.turn - s.at_turn as turns_on, t.speaker, r.name,
    t.action, readable(t.action, t.text, t.whisper, t.failure) as line,
    case when t.action in ('speak', 'leave') then t.text end as said, t.words,
    t.call = 0 as given
from sides s
join turns t on t.episode_id = s.source and t.turn > s.at_turn
left join roles r on r.episode_id = s.source and r.role = t.speaker;
comment on view branch_turns is
    'What followed the branching, turn by turn, in each branch and once more for each branch in its parent; of several '
    'attempts at a branch the latest. The shared turns are left out.';
comment on column branch_turns.episode_id is 'The branch.';
comment on column branch_turns.parent_id is 'The episode it branched off from.';
comment on column branch_turns.at_turn is 'Last turn that both share.';
comment on column branch_turns.side is 'Whose turn it is: branch or parent.';
comment on column branch_turns.turns_on is 'Number of the act from the branching on, from 1.';
comment on column branch_turns.line is 'What was said; acts, exits and failures in square brackets.';
comment on column branch_turns.said is 'Words said; null where nothing was.';
comment on column branch_turns.given is 'Whether a person gave the words.';

create or replace view branch_pairs as
with followed as (
    select episode_id, count(*) filter (side = 'branch') as turns_after,
        count(*) filter (side = 'parent') as parent_turns_after,
        sum(words) filter (side = 'branch')::bigint as words_after,
        sum(words) filter (side = 'parent')::bigint as parent_words_after,
        list_distinct(flatten(list(folded_words(said)) filter (side = 'branch' and words > 0))) as own,
        list_distinct(flatten(list(folded_words(said)) filter (side = 'parent' and words > 0))) as theirs
    from branch_turns group by episode_id
), departed as (
    select episode_id, min(turn) as first_difference
    from (
        select episode_id, turn from branch_turns group by episode_id, turn
        having count(*) < 2 or min(speaker) <> max(speaker) or min(line) <> max(line)
    )
    group by episode_id
)
select
    b.episode_id, b.parent_id, b.at_turn, b.number, b.changes, e.scenario_id, e.culture_id, e.replicate, e.model,
    p.model as parent_model, e.exit_reason, p.exit_reason as parent_exit_reason, e.turns, p.turns as parent_turns,
    coalesce(f.turns_after, 0) as turns_after, coalesce(f.parent_turns_after, 0) as parent_turns_after,
    coalesce(f.words_after, 0) as words_after, coalesce(f.parent_words_after, 0) as parent_words_after,
    d.first_difference,
    len(list_intersect(own, theirs)) / nullif(len(list_distinct(list_concat(own, theirs))), 0) as shared_words,
    e.started_at, e.run_id, e.scenario_hash, coalesce(e.conditioning, 'unknown') as conditioning,
    not is_cut_short(e.exit_reason) and not is_cut_short(p.exit_reason)
        and e.episode_id not in (select episode_id from failing_roles)
        and p.episode_id not in (select episode_id from failing_roles) as completed
from branches b
join episodes e using (episode_id)
join episodes p on p.episode_id = b.parent_id
left join followed f on f.episode_id = b.episode_id
left join departed d on d.episode_id = b.episode_id
where (e.content_hash, e.attempt) in (select content_hash, max(attempt) from episodes group by content_hash);
comment on view branch_pairs is
    'One row per branch, beside the episode it branched off from: what was changed, how both ended, and how far apart '
    'they went afterwards. Of several attempts at a branch the latest.';
comment on column branch_pairs.at_turn is 'Last turn that both share; 0 where they share none.';
comment on column branch_pairs.changes is
    'What was changed after that turn, as JSON: set has ROLE.FIELD with its value, say has role and text; empty where '
    'only the seed is another.';
comment on column branch_pairs.replicate is 'Number of the parent''s repetition.';
comment on column branch_pairs.model is 'The model that played the branch.';
comment on column branch_pairs.parent_model is 'The model that played the parent.';
comment on column branch_pairs.exit_reason is 'Why the branch ended.';
comment on column branch_pairs.parent_exit_reason is 'Why the parent ended.';
comment on column branch_pairs.turns is 'Turns of the branch, the shared ones included.';
comment on column branch_pairs.parent_turns is 'Turns of the parent.';
comment on column branch_pairs.turns_after is 'Turns of the branch after the shared ones.';
comment on column branch_pairs.parent_turns_after is 'Turns of the parent after them.';
comment on column branch_pairs.words_after is 'Words said in the former.';
comment on column branch_pairs.parent_words_after is 'Words said in the latter.';
comment on column branch_pairs.first_difference is 'First turn in which speaker or words differ; null where none does.';
comment on column branch_pairs.shared_words is
    'How much of what was said afterwards is alike: different words that both used, of all different words that either '
    'used, 0 to 1, letter case and punctuation ignored; null where nothing was said.';
comment on column branch_pairs.conditioning is 'How much agents were told of their culture: none, name, dimensions or norms; unknown in old stores.';
comment on column branch_pairs.completed is 'Whether neither of the two was cut short, and no role failed in more than a third of its turns.';

-- Worlds --------------------------------------------------------------------------------------------------------------

create or replace view world_series as
select
    e.episode_id, e.scenario_id, e.culture_id, e.model, e.replicate, w.step, w.after_turn, w.phase, w.round, w.cause,
    w.variable, w.role, w.value, w.number,
    w.number - lag(w.number) over (partition by w.episode_id, w.variable, w.role order by w.step, w.rowid) as change,
    e.completed
from world w join latest_episodes e using (episode_id);
comment on view world_series is 'Values of worlds in the order in which they changed, with the scene that they belong to.';
comment on column world_series.change is 'By how much the number changed; null at the start and for words.';

create or replace view cooperation as
select
    e.episode_id, e.scenario_id, e.culture_id, coalesce(r.model, e.model) as model, e.replicate, d.round, d.role, r.name,
    count(*) as decisions, count(*) filter (d.allowed) as allowed, avg(d.cooperation) as cooperation, e.completed
from decisions d join latest_episodes e using (episode_id) left join roles r using (episode_id, role)
where d.episode_id in (select episode_id from decisions where cooperation is not null)
group by all;
comment on view cooperation is
    'How far each role cooperated in each round, in scenes that measure it; also roles of which nothing was allowed.';
comment on column cooperation.model is 'The model that played the role.';
comment on column cooperation.decisions is 'Acts, votes and answers that were made or tried.';
comment on column cooperation.allowed is 'How many of them were allowed and took effect.';
comment on column cooperation.cooperation is 'Mean of what the scene measures, 0 to 1; null where nothing was allowed.';

create or replace view efficiency as
select
    e.episode_id, e.scenario_id, e.culture_id, coalesce(m.models, e.model) as model, e.replicate, p.total, p.least,
    p.greatest, b.equilibrium,
    b.optimum, p.total / nullif(b.optimum, 0) as share_of_optimum,
    (p.total - b.equilibrium) / nullif(b.optimum - b.equilibrium, 0) as gain, e.exit_reason, e.exit_detail, e.completed
from latest_episodes e
join (
    select episode_id, case when count(*) = count(payoff) then sum(payoff) end as total, min(payoff) as least,
        max(payoff) as greatest
    from payoffs group by episode_id
) p using (episode_id)
left join (
    select episode_id, string_agg(distinct coalesce(r.model, e.model), ', ' order by coalesce(r.model, e.model)) as models
    from roles r join episodes e using (episode_id) group by episode_id
) m using (episode_id)
left join (
    select scenario_hash, max(total) filter (name = 'equilibrium') as equilibrium,
        max(total) filter (name = 'optimum') as optimum
    from (
        select scenario_hash, one ->> '$.name' as name, cast(one ->> '$.total' as double) as total
        from (
            select scenario_hash, unnest(cast(json_extract(data, '$.benchmarks[*]') as json[])) as one from scenarios
        )
    )
    group by scenario_hash
) b using (scenario_hash);
comment on view efficiency is 'What scenes with payoffs came to, beside the textbook benchmarks in their files.';
comment on column efficiency.model is 'The models that played its roles, in order of their names.';
comment on column efficiency.total is 'Sum of all payoffs; null where one of them cannot be worked out.';
comment on column efficiency.least is 'Least payoff of a role.';
comment on column efficiency.greatest is 'Greatest payoff of a role.';
comment on column efficiency.equilibrium is 'Sum of payoffs in equilibrium, as the file has it; null where it has none.';
comment on column efficiency.optimum is 'Greatest sum of payoffs that can be reached, as the file has it; null where it has none.';
comment on column efficiency.share_of_optimum is 'total by optimum.';
comment on column efficiency.gain is 'How far the total lies on the way from equilibrium (0) to optimum (1); null where a benchmark is missing.';

create or replace view model_by_role as
with played as (
    select e.scenario_id, r.role, coalesce(r.model, e.model) as model, p.payoff, d.cooperation, t.silent
    from latest_episodes e
    join roles r using (episode_id)
    left join payoffs p using (episode_id, role)
    left join (select episode_id, role, avg(cooperation) as cooperation from decisions group by episode_id, role) d
        using (episode_id, role)
    left join (
        select episode_id, speaker as role, avg((failure is not null)::integer) as silent from turns
        group by episode_id, speaker
    ) t using (episode_id, role)
    where e.completed
), cells as (
    select scenario_id, role, model, count(*) as scenes, avg(payoff) as payoff, avg(cooperation) as cooperation,
        avg(silent) as not_acted
    from played group by scenario_id, role, model
)
select *, avg(payoff) over (partition by scenario_id, role) as role_payoff,
    avg(payoff) over (partition by scenario_id, model) as model_payoff,
    avg(payoff) over (partition by scenario_id) as scenario_payoff,
    role_payoff - scenario_payoff as role_effect, model_payoff - scenario_payoff as model_effect,
    payoff - role_payoff - model_payoff + scenario_payoff as interaction
from cells;
comment on view model_by_role is
    'What each model came to in each role of a scene. With rotate: true every model has every role, and the effects of the two come apart.';
comment on column model_by_role.model is 'The model that played the role.';
comment on column model_by_role.scenes is 'Scenes in which it did.';
comment on column model_by_role.payoff is 'Its mean payoff in this role; null where the scene has none.';
comment on column model_by_role.cooperation is 'How far it cooperated, 0 to 1; null where the scene does not measure it.';
comment on column model_by_role.not_acted is 'Share of its turns in which it made no act.';
comment on column model_by_role.role_payoff is 'Mean payoff of the role, every model counting once.';
comment on column model_by_role.model_payoff is 'Mean payoff of the model, every role counting once.';
comment on column model_by_role.scenario_payoff is 'Mean over roles and models of the scene.';
comment on column model_by_role.role_effect is 'How much more the role earns than the mean.';
comment on column model_by_role.model_effect is 'How much more the model earns than the mean.';
comment on column model_by_role.interaction is 'What is left in this role with this model once both effects are taken off.';

-- One episode --------------------------------------------------------------------------------------------------------

create or replace macro find_episode(episode) as (
    select case
        when count(*) = 0 then error('no episode begins with ''' || episode || '''')
        when count(distinct content_hash) > 1 then
            error('several episodes begin with ''' || episode || ''': ' || array_to_string(list(episode_id)[:5], ', '))
        else arg_max(episode_id, case when episode_id = episode then 2147483647 else attempt end)
    end
    from episodes where starts_with(episode_id, episode)
);
comment on macro find_episode is
    'find_episode(episode): the full id for an id or an unambiguous beginning of one; the latest of several '
    'attempts.';

create or replace macro transcript(episode) as table
with wanted as materialized (
    select find_episode(episode) as id
), cast_of as (
    from roles where episode_id = (select id from wanted)
), lines as (
    select t.turn as place, 0 as rank, t.turn as number, t.turn, t.step, 'turn' as kind, t.speaker, r.name,
        readable(t.action, t.text, t.whisper, t.failure) as line,
        t.addressees, t.audience
    from turns t left join cast_of r on r.role = t.speaker
    where t.episode_id = (select id from wanted)
    union all
    select h.after_turn, 1, h.rowid, null, h.step, h.kind, null, r.name,
        coalesce(h.text, case when h.kind = 'entrance' then '[enters]' else '[' || h.name || ']' end), [], h.audience
    from happenings h left join cast_of r on h.kind = 'entrance' and r.role = h.name
    where h.episode_id = (select id from wanted)
    union all
    select 2147483647, 2, 0, null, null, 'end', null, null, concat_ws(': ', exit_reason, exit_detail), [], []
    from episodes where episode_id = (select id from wanted)
)
select turn, step, kind, speaker, name, line, addressees, audience from lines order by place, rank, number;
comment on macro table transcript is
    'transcript(episode): an episode in order, for an id or an unambiguous beginning of one. Columns: turn, step, '
    'kind (turn, event, phase, entrance or end), speaker, name, line, addressees, audience.';
