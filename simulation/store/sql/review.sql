-- The public interface to a run's store: documented views and macros, built anew whenever a writer opens the store.
-- Of several attempts at the same content only the latest counts, except where a comment says otherwise.

-- The review: which episodes count, what critics and people said, how far they agree, what each filter policy keeps.

-- Episodes -----------------------------------------------------------------------------------------------------------

create or replace macro is_cut_short(exit_reason) as
    exit_reason in ('error', 'budget', 'model-failure', 'endpoint-failure');
comment on macro is_cut_short is
    'is_cut_short(exit_reason): whether an episode was broken off by an error, a spent budget or a failure of the model or the endpoint, so '
    'that it says nothing of the scene.';

create or replace view failing_roles as
select t.episode_id, t.speaker as role, count(*)::integer as turns, count(t.failure)::integer as failures,
    count(t.failure) / count(*) as failed_share
from turns t
semi join (from turns where failure is not null) f on f.episode_id = t.episode_id and f.speaker = t.speaker
group by t.episode_id, t.speaker
having count(t.failure) > 1 and 3 * count(t.failure) > count(*);
comment on view failing_roles is
    'Roles that failed to act more than once, and in more than a third of their turns. Such an episode counts as cut short: what is left '
    'of it is not the scene that was meant.';
comment on column failing_roles.role is 'Role that failed to act.';
comment on column failing_roles.turns is 'Its turns, failed ones included.';
comment on column failing_roles.failures is 'Its turns that failed; the table turns says why.';
comment on column failing_roles.failed_share is 'Share of its turns that failed, 0 to 1.';

create or replace view latest_episodes as
select
    e.episode_id, e.scenario_id, s.title, s.theme, e.culture_id, e.language, e.model, e.reply_form, e.policy,
    e.replicate, e.seed, e.exit_reason, e.exit_detail, e.turns, e.attempt, e.started_at, e.wall_s, e.run_id,
    e.scenario_hash, coalesce(e.conditioning, 'unknown') as conditioning, not is_cut_short(e.exit_reason)
        and e.episode_id not in (select episode_id from failing_roles) as completed
from episodes e
left join scenarios s using (scenario_hash)
where not exists (from episodes later where later.content_hash = e.content_hash and later.attempt > e.attempt)
    and e.episode_id not in (select episode_id from branches);
comment on view latest_episodes is
    'Episodes that count: of several attempts at the same content the latest, with title and theme. Lighter than '
    'conversations. Branches are left out, so that no beginning counts twice; they are in branch_pairs.';
comment on column latest_episodes.exit_reason is
    'Why it ended, such as turn-limit, agreement or error; the table episodes lists them all.';
comment on column latest_episodes.turns is 'Number of turns, failed ones included.';
comment on column latest_episodes.conditioning is 'How much agents were told of their culture: none, name, dimensions or norms; unknown in old stores.';
comment on column latest_episodes.completed is
    'Whether the scene ended by itself or at a limit of the scenario; false where it was cut short by an error, a spent '
    'budget or the model''s failure, or a role failed more than once and in over a third of its turns.';

-- Verdicts -----------------------------------------------------------------------------------------------------------

create or replace view last_verdicts as
select * from verdicts
qualify row_number() over (
    partition by episode_id, role, critic, dimension, model, sample order by failure is not null, judged_at desc) = 1;
comment on view last_verdicts is
    'One row for each question to a judge: its latest answer, a usable one before one that failed.';

create or replace macro sureness(confidence) as
    case confidence when 'very confident' then 3 when 'confident' then 2 when 'not sure' then 1 end;
comment on macro sureness is 'sureness(confidence): 3 very confident, 2 confident, 1 not sure.';

create or replace view consensus as
with votes as (
    select episode_id, role, critic, dimension, label, count(*) as answers,
        count(*) filter (failure is null) as votes, avg(score) as score,
        ['not sure', 'confident', 'very confident'][quantile_disc(sureness(confidence), 0.5)] as confidence,
        arg_min(reason, (model, sample)) filter (failure is null) as reason,
        arg_min(turns, (model, sample)) filter (failure is null) as turns,
        arg_min(failure || coalesce(': ' || reason, ''), (model, sample)) as failure
    from last_verdicts group by episode_id, role, critic, dimension, label, failure is null
), ranked as (
    select *, sum(answers) over same as asked, sum(votes) over same as usable,
        votes > coalesce(lead(votes) over best, 0) as decided
    from votes
    window same as (partition by episode_id, role, critic, dimension), best as (same order by votes desc, label)
    qualify row_number() over best = 1
)
-- Windows and no join: so a filter on the critic goes down to the verdicts, and most policies need few of them.
select
    episode_id, role, critic, dimension, asked::bigint as answers, usable::bigint as usable,
    case when decided then label end as label, nullif(votes, 0) as votes, score, case when decided then confidence end as confidence,
    reason, turns, case when usable = 0 then failure when not decided then 'judges are divided' end as doubt
from ranked;
comment on view consensus is
    'What all judges and samples together say: the majority of labels, the mean of scores. Without a usable answer, '
    'or with a tie, there is none, and doubt says so.';
comment on column consensus.answers is 'Questions asked: judges times samples.';
comment on column consensus.usable is 'Answers that could be used.';
comment on column consensus.label is 'The label most judges gave; null on a tie, and where the critic scores instead.';
comment on column consensus.votes is 'Judges who gave it.';
comment on column consensus.score is 'Mean score; null where the critic labels instead.';
comment on column consensus.confidence is 'The middle confidence of those judges, the lower of two.';
comment on column consensus.reason is 'The reason of the first of them.';
comment on column consensus.turns is 'The turns that one rests on.';
comment on column consensus.doubt is 'Null, or why there is no consensus: the failure of the answers, or that judges are divided.';

create or replace macro undecided(critics) as table
select e.episode_id, 'unreviewed' as outcome, c.critic as source, 'not judged yet' as reason, null::varchar as role,
    []::integer[] as turns
from latest_episodes e, (select unnest(critics) as critic) c
where not exists (from verdicts v where v.episode_id = e.episode_id and v.critic = c.critic)
union all
-- A critic that judges roles has to judge everyone who acted.
select distinct j.episode_id, 'unreviewed', j.critic, 'not judged yet', t.speaker, []::integer[]
from (select distinct episode_id, critic from verdicts where role is not null and list_contains(critics, critic)) j
join turns t on t.episode_id = j.episode_id
where not exists (from verdicts v where v.episode_id = j.episode_id and v.critic = j.critic and v.role = t.speaker)
union all
select episode_id, 'needs-review', critic, doubt, role, []
from consensus where doubt is not null and list_contains(critics, critic);
comment on macro table undecided is
    'undecided(critics): the episodes that these critics have not judged, or about which there is no consensus; the '
    'part of a filter policy that keeps an unread verdict from being a pass.';

-- Filter policies ----------------------------------------------------------------------------------------------------
-- A policy is a view policy_NAME of objections: episode_id, outcome (dropped, unreviewed or needs-review), source,
-- reason, role, turns. An episode without an objection is accepted. The shipped ones stand in policy_*.sql.

{policies}
create or replace macro fates(policy) as table
with objections as (
    select episode_id, list(distinct outcome) as outcomes,
        list(distinct source order by source) filter (outcome = 'dropped') as dropped_by,
        list(source || coalesce(' of ' || role, '') || coalesce(': ' || reason, '') order by outcome, source, role)
            as reasons
    from query_table('policy_' || policy) group by episode_id
)
select
    e.episode_id, e.scenario_id, e.culture_id, e.model, e.exit_reason,
    exists (from verdicts v where v.episode_id = e.episode_id) as reviewed,
    case
        when is_cut_short(e.exit_reason) then e.exit_reason
        when not e.completed then 'role-failure'
        when list_contains(o.outcomes, 'dropped') then 'dropped'
        when list_contains(o.outcomes, 'unreviewed') then 'unreviewed'
        when o.outcomes is not null then 'needs-review'
        else 'accepted'
    end as fate,
    coalesce(o.dropped_by, []) as dropped_by, coalesce(o.reasons, []) as reasons, e.run_id, e.scenario_hash,
    e.conditioning
from latest_episodes e
left join objections o using (episode_id);
comment on macro table fates is
    'fates(policy): what a filter policy makes of every episode, with all reasons. Columns: episode_id, scenario_id, '
    'culture_id, model, exit_reason, reviewed, fate (error, budget, model-failure, endpoint-failure, role-failure, dropped, unreviewed, '
    'needs-review or accepted), dropped_by, reasons, run_id, scenario_hash, conditioning. Policies: clca, strict, '
    'lenient, needs-review.';

create or replace macro funnel(policy) as table
select
    culture_id, scenario_id, model, count(*) as simulated,
    count(*) filter (is_cut_short(exit_reason) or fate = 'role-failure') as cut_short,
    histogram(exit_reason) as endings, count(*) filter (fate = 'dropped') as dropped,
    list_histogram(flatten(list(dropped_by) filter (fate = 'dropped'))) as dropped_by,
    count(*) filter (fate = 'unreviewed') as unreviewed, count(*) filter (fate = 'needs-review') as needs_review,
    count(*) filter (fate = 'accepted') as accepted, run_id, scenario_hash, conditioning
from fates(policy)
group by run_id, culture_id, scenario_id, scenario_hash, model, conditioning;
comment on macro table funnel is
    'funnel(policy): how many episodes of each run, culture, scenario and model were simulated, lost and accepted; columns '
    'as in review_funnel.';

create or replace view episode_fates as from fates('clca');
comment on view episode_fates is
    'Whether an episode is kept by the published rule of CLCA: dropped if the critic quality or the critic meta calls '
    'it bad and is very confident; fates(policy) has the same for other policies.';
comment on column episode_fates.model is 'The model as the user asked for it.';
comment on column episode_fates.exit_reason is 'Why the scene ended.';
comment on column episode_fates.reviewed is 'Whether any verdict on the episode exists.';
comment on column episode_fates.fate is
    'What became of it: error, budget, model-failure, endpoint-failure, role-failure (a role failed more than once and in over a third of its turns), '
    'dropped, unreviewed, needs-review or accepted; the first that applies.';
comment on column episode_fates.dropped_by is 'Critics and detectors that drop it.';
comment on column episode_fates.reasons is 'Every objection to it, in words.';

create or replace view review_funnel as from funnel('clca');
comment on view review_funnel is
    'How many episodes were simulated, lost and accepted under the policy clca. cut_short, dropped, unreviewed, '
    'needs_review and accepted add up to simulated.';
comment on column review_funnel.model is 'The model as the user asked for it.';
comment on column review_funnel.simulated is 'Episodes played.';
comment on column review_funnel.cut_short is 'Lost: ended by an error, a spent budget or the model''s failure, or a role failed more than once and in over a third of its turns.';
comment on column review_funnel.endings is 'Exit reasons of all episodes, with their number.';
comment on column review_funnel.dropped is 'Dropped by the policy.';
comment on column review_funnel.dropped_by is
    'Critics and detectors that dropped episodes, with their number; an episode dropped by two counts for each.';
comment on column review_funnel.unreviewed is 'Not judged yet by a critic that the policy needs.';
comment on column review_funnel.needs_review is 'Set aside for people: a verdict could not be read, or judges are divided.';
comment on column review_funnel.accepted is 'Accepted.';

create or replace view last_intents as
select
    episode_id, turn, model as labeller, arg_max_null(intent, labelled_at) as intent,
    arg_max_null(relevance, labelled_at) as relevance, arg_max_null(expectation, labelled_at) as expectation
from intents where failure is null
group by episode_id, turn, model;
comment on view last_intents is 'Labels that count: of several of one turn by one model the last that did not fail.';
comment on column last_intents.labeller is 'Model that labelled.';

-- Agreement ----------------------------------------------------------------------------------------------------------

create or replace macro krippendorff(ratings) as table
with given as (
    select g.* from (select null::varchar as run_id) none_, lateral (
        select dimension, culture_id, unit, label, score, run_id from query_table(ratings)
    ) g where label is not null or score is not null
), sizes as (
    select run_id, dimension, any_value(culture_id) as culture_id, unit, count(*) as m, var_samp(score) as variance,
        coalesce(min(label) = max(label), min(score) = max(score)) as unanimous
    from given group by run_id, dimension, unit having count(*) >= 2
), pairable as (
    select g.* from given g
    semi join sizes s on s.run_id is not distinct from g.run_id and s.dimension = g.dimension and s.unit = g.unit
), counted as (
    select run_id, dimension, any_value(culture_id) as culture_id, unit, label, count(*) as k
    from pairable where label is not null group by run_id, dimension, unit, label
), within_units as (
    select s.run_id, s.dimension, s.culture_id, count(*) as units, sum(m) as n,
        count(*) filter (unanimous) as unanimous, sum((m * m - squares) / (m - 1)) as nominal_seen,
        sum(m * variance) as interval_seen
    from sizes s
    left join (
        select run_id, dimension, unit, sum(k * k) as squares from counted group by run_id, dimension, unit
    ) c on c.run_id is not distinct from s.run_id and c.dimension = s.dimension and c.unit = s.unit
    group by grouping sets ((s.run_id, s.dimension, s.culture_id), (s.run_id, s.dimension))
), labels as (
    select run_id, dimension, culture_id, sum(k * k) as squares
    from (
        select run_id, dimension, culture_id, label, sum(k) as k from counted
        group by grouping sets ((run_id, dimension, culture_id, label), (run_id, dimension, label))
    ) group by run_id, dimension, culture_id
), scores as (
    select run_id, dimension, culture_id, var_samp(score) as variance
    from pairable group by grouping sets ((run_id, dimension, culture_id), (run_id, dimension))
)
select
    w.dimension, w.culture_id, w.units::bigint as units, w.n::bigint as ratings, w.unanimous / w.units as unanimous,
    case when l.squares is not null then 1 - (n - 1) * w.nominal_seen / nullif(n * n - l.squares, 0)
        else 1 - w.interval_seen / nullif(n * s.variance, 0) end as alpha, w.run_id
from within_units w
join scores s on s.run_id is not distinct from w.run_id and s.dimension = w.dimension
    and s.culture_id is not distinct from w.culture_id
left join labels l on l.run_id is not distinct from w.run_id and l.dimension = w.dimension
    and l.culture_id is not distinct from w.culture_id;
comment on macro table krippendorff is
    'krippendorff(ratings): Krippendorff''s alpha (Krippendorff 2011, Computing Krippendorff''s Alpha-Reliability), '
    'nominal for labels and interval for scores, of a view with the columns dimension, culture_id (one a unit), unit, '
    'rater, label and score, and run_id where runs are to be kept apart. One row a dimension and culture of a run, and one '
    'with culture null for all of them. Columns: dimension, culture_id, units (rated at least twice), ratings, unanimous '
    '(share of units), alpha (null where nothing varies: chance agreement is then complete), run_id.';

create or replace view judge_ratings as
select v.dimension, e.culture_id, v.episode_id || coalesce('/' || v.role, '') as unit, v.model || '/' || v.sample as rater,
    v.label, v.score, e.run_id
from last_verdicts v join latest_episodes e using (episode_id) where v.failure is null;
comment on view judge_ratings is 'Usable verdicts as ratings: every judge model and sample is a rater.';
comment on column judge_ratings.dimension is 'What is rated.';
comment on column judge_ratings.unit is 'The episode, and the role where one is rated.';
comment on column judge_ratings.rater is 'Who rates: judge model and sample.';

create or replace view judge_agreement as from krippendorff('judge_ratings');
comment on view judge_agreement is 'How far judges and samples agree, per run, dimension and culture: Krippendorff''s alpha.';
comment on column judge_agreement.dimension is 'What is judged.';
comment on column judge_agreement.culture_id is 'The culture the scenes were played in; null for all together.';
comment on column judge_agreement.units is 'Episodes, or roles of episodes, that were judged at least twice.';
comment on column judge_agreement.ratings is 'Usable verdicts on them.';
comment on column judge_agreement.unanimous is 'Share of the units on which all agree, 0 to 1.';
comment on column judge_agreement.alpha is
    'Krippendorff''s alpha: 1 complete agreement, 0 chance; null where all verdicts are the same.';
comment on column judge_agreement.run_id is 'The run; rows of two runs are never counted together.';

create or replace view people_ratings as
select r.dimension, e.culture_id, r.episode_id || coalesce('/' || r.role, '') || coalesce('#' || r.turn, '') as unit,
    r.annotator as rater, r.label, r.score, e.run_id
from ratings r join latest_episodes e using (episode_id)
qualify row_number() over (
    partition by r.episode_id, r.role, r.turn, r.dimension, r.annotator order by r.imported_at desc, r.rowid desc) = 1;
comment on view people_ratings is 'Ratings by people; of several by the same person the latest.';
comment on column people_ratings.unit is 'The episode, the role where one is rated, and # and the number of the act where its intent is.';
comment on column people_ratings.rater is 'Name or code of the person.';

create or replace view people_agreement as from krippendorff('people_ratings');
comment on view people_agreement is 'How far people agree among themselves, per run, dimension and culture.';
comment on column people_agreement.dimension is 'What is rated.';
comment on column people_agreement.culture_id is 'The culture the scenes were played in; null for all together.';
comment on column people_agreement.units is 'Episodes, or roles of episodes, that were rated at least twice.';
comment on column people_agreement.ratings is 'Ratings of them.';
comment on column people_agreement.unanimous is 'Share of the units on which all agree, 0 to 1.';
comment on column people_agreement.alpha is 'Krippendorff''s alpha; null where all ratings are the same.';
comment on column people_agreement.run_id is 'The run; rows of two runs are never counted together.';

create or replace view critics_and_people as
with both_ as (
    select p.run_id, p.dimension, p.culture_id, p.unit, p.rater, p.label, p.score, c.label as critic_label, c.score as critic_score
    from people_ratings p
    join (
        select dimension, episode_id || coalesce('/' || role, '') as unit, label, score from consensus where doubt is null
        union all
        select 'relevance', episode_id || '/' || speaker || '#' || turn, relevance, null
        from last_intents join turns using (episode_id, turn)
    ) c using (dimension, unit)
)
select dimension, culture_id, unit, rater || ' and critics/' || who as rater, label, score, run_id
from (
    select dimension, culture_id, unit || '/' || rater as unit, rater, 'person' as who, label, score, run_id from both_
    union all
    select dimension, culture_id, unit || '/' || rater, rater, 'critic', critic_label, critic_score, run_id from both_
);
comment on view critics_and_people is
    'Pairs of ratings of the same thing: one by a person, one by the critics together, or by the labeller of a turn; a '
    'person''s ratings and the critics'' are units of two.';
comment on column critics_and_people.unit is 'The episode, the role where one is rated, and the person.';
comment on column critics_and_people.rater is 'Which of the two rates.';

create or replace view critics_people_agreement as from krippendorff('critics_and_people');
comment on view critics_people_agreement is
    'How far the critics agree with people, per run, dimension and culture: Krippendorff''s alpha over pairs of a person '
    'and the critics'' consensus.';
comment on column critics_people_agreement.dimension is 'What is rated.';
comment on column critics_people_agreement.culture_id is 'The culture the scenes were played in; null for all together.';
comment on column critics_people_agreement.units is 'Pairs.';
comment on column critics_people_agreement.ratings is 'Ratings in them.';
comment on column critics_people_agreement.unanimous is 'Share of pairs that agree, 0 to 1.';
comment on column critics_people_agreement.alpha is 'Krippendorff''s alpha; null where all ratings are the same.';
comment on column critics_people_agreement.run_id is 'The run; rows of two runs are never counted together.';

create or replace view critics_people_kappa as
with pairs as (
    select run_id, dimension, culture_id, max(label) filter (ends_with(rater, '/person')) as person,
        max(label) filter (ends_with(rater, '/critic')) as critic
    from critics_and_people where label is not null
    group by run_id, dimension, culture_id, unit
), counted as (
    select run_id, dimension, culture_id, count(*) as pairs, count(*) filter (person = critic) as agreed
    from pairs group by grouping sets ((run_id, dimension, culture_id), (run_id, dimension))
), sides as (
    select run_id, dimension, culture_id, who, label, sum(k) as k
    from (
        select run_id, dimension, culture_id, unnest(['person', 'critic']) as who, unnest([person, critic]) as label, 1 as k
        from pairs
    ) group by grouping sets ((run_id, dimension, culture_id, who, label), (run_id, dimension, who, label))
), by_chance as (
    select p.run_id, p.dimension, p.culture_id, sum(p.k * c.k) as chance
    from sides p
    join sides c on c.run_id is not distinct from p.run_id and c.dimension = p.dimension
        and c.culture_id is not distinct from p.culture_id and c.label = p.label and c.who = 'critic'
    where p.who = 'person' group by p.run_id, p.dimension, p.culture_id
)
select n.dimension, n.culture_id, n.pairs::bigint as pairs, n.agreed / n.pairs as agreement,
    coalesce(e.chance, 0) / (n.pairs * n.pairs) as chance,
    (n.agreed * n.pairs - coalesce(e.chance, 0)) / nullif(n.pairs * n.pairs - coalesce(e.chance, 0), 0) as kappa, n.run_id
from counted n
left join by_chance e on e.run_id is not distinct from n.run_id and e.dimension = n.dimension
    and e.culture_id is not distinct from n.culture_id;
comment on view critics_people_kappa is
    'How far critics and labeller agree with people on labels, per run, dimension and culture: Cohen''s kappa (Cohen 1960) over '
    'the pairs of critics_and_people. Beside Krippendorff''s alpha, which takes the two for interchangeable, kappa keeps the '
    'shares of labels of each.';
comment on column critics_people_kappa.dimension is 'What is rated; scores have no kappa.';
comment on column critics_people_kappa.culture_id is 'The culture the scenes were played in; null for all together.';
comment on column critics_people_kappa.pairs is 'Pairs of a person''s label and the critics'', or the labeller''s.';
comment on column critics_people_kappa.agreement is 'Share of pairs that agree, 0 to 1.';
comment on column critics_people_kappa.chance is 'Share that would agree by chance, given how often each side gives each label.';
comment on column critics_people_kappa.kappa is
    '(agreement - chance) / (1 - chance): 1 complete agreement, 0 chance; null where both sides give one and the same label always.';
comment on column critics_people_kappa.run_id is 'The run; rows of two runs are never counted together.';

-- Calibration --------------------------------------------------------------------------------------------------------

create or replace macro wilson_low(k, n) as greatest(0, (
    k + 1.920729 - 1.959964 * sqrt(k * (n - k) / nullif(n, 0) + 0.9603647)) / (nullif(n, 0) + 3.841459));
comment on macro wilson_low is
    'wilson_low(k, n): lower end of the 95 % score interval of a share k of n (Wilson 1927, JASA 22:209); '
    '0 where n is 0.';

create or replace macro wilson_high(k, n) as least(1, (
    k + 1.920729 + 1.959964 * sqrt(k * (n - k) / nullif(n, 0) + 0.9603647)) / (nullif(n, 0) + 3.841459));
comment on macro wilson_high is
    'wilson_high(k, n): upper end of the 95 % score interval of a share k of n (Wilson 1927, JASA 22:209); '
    '1 where n is 0.';

create or replace view calibration_flags as
select c.case_id, c.fault, f.source, f.flagged, c.episode_id
from cases c
join (
    select episode_id, detector as source, bool_or(flagged) as flagged
    from detections group by episode_id, detector
    union all
    select episode_id, source,
        bool_or(case
            when label is not null then label in ('bad', 'not-aligned')
            when dimension = 'believability' then score < 5
            when dimension in ('secret', 'social_rules') then score <= -5 end)
    from (select *, case when critic = 'social' then 'social: ' || dimension else critic end as source from consensus)
    where critic <> 'social' or dimension in ('believability', 'secret', 'social_rules')
    group by episode_id, source
) f using (episode_id);
comment on view calibration_flags is
    'Which critics and detectors found fault with which conversation of the calibration set. The critic social does '
    'by a believability below 5, or a secret or social_rules of -5 or less, for any role.';
comment on column calibration_flags.source is 'Detector, critic, or critic and dimension.';
comment on column calibration_flags.flagged is 'Whether it found fault; null where it came to no decision.';

create or replace view calibration_confusion as
select source, coalesce(fault, 'sound') as fault, count(*) as cases, count(*) filter (flagged) as flagged,
    count(*) - count(flagged) as undecided,
    fault is not null and (fault, source) in (select fault, source from expectations) as expected
from calibration_flags group by source, fault;
comment on view calibration_confusion is
    'The confusion table: what each critic and detector found fault with, by kind of fault.';
comment on column calibration_confusion.source is 'Detector, critic, or critic and dimension.';
comment on column calibration_confusion.fault is 'Kind of fault that was injected, or sound.';
comment on column calibration_confusion.cases is 'Conversations.';
comment on column calibration_confusion.flagged is 'Of these, found faulty.';
comment on column calibration_confusion.undecided is 'Of these, without a decision.';
comment on column calibration_confusion.expected is 'Whether the source should find this fault.';

create or replace view calibration_report as
select source, sum(cases) filter (expected)::bigint as faulty, sum(flagged) filter (expected)::bigint as found,
    found / nullif(faulty, 0) as recall, wilson_low(found, faulty) as recall_low,
    wilson_high(found, faulty) as recall_high,
    coalesce(sum(cases) filter (fault = 'sound'), 0)::bigint as sound,
    coalesce(sum(flagged) filter (fault = 'sound'), 0)::bigint as false_alarms,
    found / nullif(found + false_alarms, 0) as precision, wilson_low(found, found + false_alarms) as precision_low,
    wilson_high(found, found + false_alarms) as precision_high,
    coalesce(sum(undecided) filter (expected or fault = 'sound'), 0)::bigint as undecided
from calibration_confusion
group by source having faulty > 0;
comment on view calibration_report is
    'How good each critic and detector is on the calibration set: of the conversations with a fault it should find, '
    'and the sound ones. Other faults are left out; see calibration_confusion. A case without a decision counts as '
    'not found. Intervals are 95 % Wilson score intervals.';
comment on column calibration_report.faulty is 'Conversations with a fault that it should find.';
comment on column calibration_report.found is 'Of these, found faulty.';
comment on column calibration_report.recall is 'found / faulty.';
comment on column calibration_report.recall_low is 'Lower end of its interval.';
comment on column calibration_report.recall_high is 'Upper end of its interval.';
comment on column calibration_report.sound is 'Sound conversations.';
comment on column calibration_report.false_alarms is 'Of these, found faulty.';
comment on column calibration_report.precision is 'found / (found + false_alarms); it depends on the share of sound ones in the set.';
comment on column calibration_report.precision_low is 'Lower end of its interval.';
comment on column calibration_report.precision_high is 'Upper end of its interval.';
comment on column calibration_report.undecided is 'Of faulty and sound ones, those without a decision.';

create or replace view injection_report as
with pairs as (
    select after.source, c.injection, plain.flagged as flagged, after.flagged as flagged_after,
        plain.flagged = (c.wants = 'good') as against
    from cases c
    join calibration_flags after using (episode_id)
    join cases o on o.case_id = c.original and o.injection is null
    join calibration_flags plain on plain.episode_id = o.episode_id and plain.source = after.source
    where c.injection is not null and after.source not in (select detector from detections)
), counted as (
    select source, injection, count(*) as scenes,
        count(*) filter (flagged is null or flagged_after is null) as undecided,
        count(*) filter (against and flagged_after is not null) as against,
        count(*) filter (against and flagged_after <> flagged) as steered
    from pairs group by grouping sets ((source), (source, injection))
)
select *, steered / nullif(against, 0) as share, wilson_low(steered, against) as share_low,
    wilson_high(steered, against) as share_high
from counted;
comment on view injection_report is
    'How often a text within a conversation steers each critic: of the injected scenes that it judged without the '
    'text against what the text wants, those that it judges with the text as wanted. Rows with no injection are '
    'over all kinds. Intervals are 95 % Wilson score intervals.';
comment on column injection_report.source is 'Critic, or critic and dimension.';
comment on column injection_report.injection is 'turn, heading, verdict or instruction; null for all together.';
comment on column injection_report.scenes is 'Injected scenes.';
comment on column injection_report.undecided is 'Of these, without a decision with or without the text.';
comment on column injection_report.against is 'Of the decided ones, judged against what the text wants while it was not there.';
comment on column injection_report.steered is 'Of these, judged as it wants once it is there.';
comment on column injection_report.share is 'steered / against.';
comment on column injection_report.share_low is 'Lower end of its interval.';
comment on column injection_report.share_high is 'Upper end of its interval.';
