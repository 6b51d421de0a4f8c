-- The survey: what models answered, beside people.

create or replace view survey_readings as
with last as (
    select * from survey_replies
    qualify row_number() over (
        partition by condition_id, country, respondent_id, item_id, arrangement, sample order by attempt desc
    ) = 1
),
readings as (
    select *, 'logprobs' as reading, null::smallint as code from last
    where condition_id in (select condition_id from survey_conditions where readout = 'logprobs')
    union all
    select *, unnest(['text-strict', 'text-lenient']), unnest([strict, lenient]) from last
    where condition_id in (select condition_id from survey_conditions where readout = 'text')
    union all
    select * exclude (digits), 'text-published', case when digits <= 10 then digits end::smallint from (
        select *, try_cast(nullif(regexp_extract(coalesce(reply, ''), '[0-9]+'), '') as bigint) as digits from last
    )
    where condition_id in (select condition_id from survey_conditions where engine = 'imported')
)
select condition_id, reading, country, respondent_id, item_id, arrangement, sample,
    unnest(shown) as code, unnest(probabilities) / mass as weight
from readings where mass > 0
union all
select condition_id, reading, country, respondent_id, item_id, arrangement, sample, code, 1.0
from readings where not coalesce(mass > 0, false);
comment on view survey_readings is 'What each reply says, read in each way: one row for text, one row per option for log-probabilities.';
comment on column survey_readings.reading is 'logprobs, text-strict (the text is the option and nothing else), text-lenient (it names one option) or, of imported sheets, text-published (its first digits, if no more than 10).';
comment on column survey_readings.code is 'Option as in the survey''s file; null where there is no answer.';
comment on column survey_readings.weight is 'Share of this answer: 1, or the option''s probability among all options.';

create or replace view survey_answers as
with counted as (
    select condition_id, reading, country, respondent_id, item_id, count(distinct (arrangement, sample)) as n
    from survey_readings group by all
)
select r.condition_id, c.model, c.method, c.style, c.language, r.reading, r.country, r.respondent_id, r.item_id,
    o.point, sum(r.weight) / any_value(n.n) as weight
from survey_readings r join survey_conditions c using (condition_id)
join counted n on n.condition_id = r.condition_id and n.reading = r.reading and n.country = r.country
    and n.respondent_id is not distinct from r.respondent_id and n.item_id = r.item_id
left join survey_options o on o.item_id = r.item_id and o.code = r.code
group by all;
comment on view survey_answers is 'Answers of models by point of the scale, averaged over option orders and samples; the weights of one question sum to 1.';
comment on column survey_answers.point is 'Point of the scale; null is no valid answer.';
comment on column survey_answers.weight is 'Share of the answer.';

create or replace view survey_shares as
with homes as (
    select country from survey_people union select country from survey_replies where country <> '*'
),
answered as (
    select a.* replace (h.country as country) from survey_answers a
    join homes h on a.country in (h.country, '*')
),
totals as (
    select condition_id, model, method, style, language, reading, country, item_id,
        sum(weight) as answers, coalesce(sum(weight) filter (point is not null), 0) as valid
    from answered group by all
),
points as (select distinct item_id, point, position from survey_options),
weights as (
    select condition_id, reading, country, item_id, point, sum(weight) as weight from answered group by all
)
select t.condition_id, t.model, t.method, t.style, t.language, t.reading, t.country, t.item_id, p.point,
    p.position, coalesce(w.weight, 0) / nullif(t.valid, 0) as share, h.share as people, t.answers,
    1 - t.valid / t.answers as invalid_rate
from totals t join points p using (item_id)
left join weights w using (condition_id, reading, country, item_id, point)
left join survey_people h using (country, item_id, point);
comment on view survey_shares is 'Share of each point among the valid answers of a model, beside people.';
comment on column survey_shares.country is 'Country, ISO 3166 alpha-3; answers without a culture stand beside every country.';
comment on column survey_shares.share is 'Share of the model''s valid answers; null where it gave none.';
comment on column survey_shares.people is 'Share of people''s valid answers; null where people were not asked.';
comment on column survey_shares.answers is 'Answers of the model to the item: respondents, or 1 for a culture.';
comment on column survey_shares.invalid_rate is 'Share of them that are no valid answer.';

create or replace view survey_distances as
with cumulated as (
    select *, sum(share - people) over along as ahead, lead(position) over along - position as step
    from survey_shares
    window along as (
        partition by condition_id, reading, country, item_id order by point
    )
)
select condition_id, model, method, style, language, reading, country, item_id,
    sum(abs(share - people)) / 2 as tv, sum(abs(ahead) * step) as w1,
    any_value(answers) as answers, any_value(invalid_rate) as invalid_rate
from cumulated group by all;
comment on view survey_distances is 'How far the answers of a model to an item are from those of people; 0 is the same, 1 is opposite ends.';
comment on column survey_distances.tv is 'Total variation, half the sum of absolute differences of shares.';
comment on column survey_distances.w1 is 'Wasserstein-1 distance along the scale from 0 to 1; null for nominal items.';
comment on column survey_distances.invalid_rate is 'Share of them that are no valid answer; they are in no distance.';

create or replace view survey_order_gaps as
with by_order as (
    select r.condition_id, r.reading, r.country, r.item_id, r.arrangement, o.point, sum(r.weight) as weight
    from survey_readings r join survey_options o on o.item_id = r.item_id and o.code = r.code group by all
),
shares as (
    select condition_id, reading, country, item_id, arrangement, point,
        weight / sum(weight) over (partition by condition_id, reading, country, item_id, arrangement) as share
    from by_order
),
mean as (
    select condition_id, reading, country, item_id, point,
        sum(share) / any_value(orders) as share
    from shares join (
        select condition_id, reading, country, item_id, count(distinct arrangement) as orders from shares group by all
    ) using (condition_id, reading, country, item_id)
    group by all
),
apart as (
    select m.condition_id, m.reading, m.country, m.item_id, a.arrangement,
        sum(abs(coalesce(s.share, 0) - m.share)) as gap
    from mean m
    join (select distinct condition_id, reading, country, item_id, arrangement from shares) a
        using (condition_id, reading, country, item_id)
    left join shares s using (condition_id, reading, country, item_id, arrangement, point)
    group by all
)
select c.condition_id, c.model, c.method, c.style, c.language, reading, country, item_id,
    count(*) as orders, case when count(*) > 1 then sum(gap) / (2 * (count(*) - 1)) end as gap
from apart join survey_conditions c using (condition_id) group by all;
comment on view survey_order_gaps is 'How much the answers to an item depend on the order of its options.';
comment on column survey_order_gaps.orders is 'Orders with a valid answer.';
comment on column survey_order_gaps.gap is 'Total variation between orders, 0 to 1: of two, from one to the other; of n, n / (n - 1) times the mean from their average. Null with one order.';

create or replace view survey_diversity as
with spread as (
    select condition_id, reading, country, item_id, count(*) as options,
        -sum(case when share > 0 then share * ln(share) else 0 end) as entropy,
        -sum(case when people > 0 then people * ln(people) else 0 end) as people_entropy,
        sum(share * position * position) - sum(share * position) * sum(share * position) as variance,
        sum(people * position * position) - sum(people * position) * sum(people * position) as people_variance
    from survey_shares where share is not null and people is not null
    group by all
),
profiles as (
    select condition_id, reading, country, count(*) as respondents, count(distinct profile) as profiles
    from (
        select condition_id, reading, country, respondent_id, list((item_id, mode) order by item_id) as profile
        from (
            select condition_id, reading, country, respondent_id, item_id, arg_max(point, (weight, -point)) as mode
            from survey_answers where respondent_id is not null and point is not null group by all
        ) group by all
    ) group by all
)
select s.condition_id, c.model, c.method, c.style, c.language, s.reading, s.country, count(*) as items,
    avg(s.entropy / ln(s.options)) as entropy, avg(s.people_entropy / ln(s.options)) as people_entropy,
    avg(s.variance) as variance, avg(s.people_variance) as people_variance,
    any_value(p.respondents) as respondents, any_value(p.profiles) as profiles
from spread s join survey_conditions c using (condition_id)
left join profiles p on p.condition_id = s.condition_id and p.reading = s.reading and p.country = s.country
group by all;
comment on view survey_diversity is 'How many different answers a model gives in a country, beside all people of the survey; few answers have less entropy, so that the report compares with as many of people''s.';
comment on column survey_diversity.items is 'Items that both answered.';
comment on column survey_diversity.entropy is 'Mean over items of Shannon''s entropy of answers, over that of all options alike: 0 is one answer for all.';
comment on column survey_diversity.people_entropy is 'The same of people.';
comment on column survey_diversity.variance is 'Mean over items of the variance along the scale from 0 to 1; nominal items are left out.';
comment on column survey_diversity.people_variance is 'The same of people.';
comment on column survey_diversity.respondents is 'Respondents with a valid answer; null for a culture''s answers.';
comment on column survey_diversity.profiles is 'How many of them answered in a way of their own, by their most likely options; null for a culture''s answers.';
