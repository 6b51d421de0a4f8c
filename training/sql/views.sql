-- CultureSPA: what came of the questions a model wrote.

create or replace view spa_outcomes as
select topic, outcome, count(*) as tries from spa_attempts group by all;
comment on view spa_outcomes is 'What came of the tries to have questions written, by topic.';
comment on column spa_outcomes.tries is 'Number of tries.';

create or replace view spa_conditions as
select u.condition_id as unaware_id, a.condition_id as aware_id, a.model, a.engine, a.language, a.readout, a.options
from survey_conditions u join survey_conditions a on u.method = 'unaware' and a.method = 'culture'
    and u.model = a.model and u.engine = a.engine and u.language = a.language and u.readout = a.readout
    and u.options::varchar = a.options::varchar
where json_exists(a.options, '$.asked');
comment on view spa_conditions is 'Pairs of conditions in which generated questions were asked, without a culture and for one, alike in everything else.';
comment on column spa_conditions.unaware_id is 'Row of survey_conditions without a culture.';
comment on column spa_conditions.aware_id is 'Row of survey_conditions for a culture.';

create or replace view spa_pairs as
with codes as (
    select condition_id, reading, country, item_id, code, sum(weight) as total, sum(weight * weight) as squares
    from survey_readings semi join spa_questions on item_id = question_id group by all
),
sides as (
    select condition_id, reading, country, item_id, round(sum(total)) as replies,
        round(coalesce(sum(total) filter (code is not null), 0)) as valid
    from codes group by all
),
shares as (
    select condition_id, reading, country, item_id, code, total / valid as share,
        greatest(round(squares - total * total / valid, 12), 0) / nullif(valid - 1, 0) / valid as squared_error
    from codes join sides using (condition_id, reading, country, item_id) where code is not null
),
chosen as (
    select condition_id, reading, country, item_id, list_sort(list(code)) as codes
    from (
        select * from shares  -- rounded: sums of parts are not the same to the last bit each time
        qualify round(share, 9) = max(round(share, 9)) over (partition by condition_id, reading, country, item_id)
    )
    group by all
),
noises as (
    select condition_id, reading, item_id, round(sum(sqrt(squared_error / pi())), 9) as noise
    from shares where country = '*' group by all
),
pairs as (
    select unaware_id, aware_id, a.reading, a.item_id, a.country,
        u.replies as unaware_replies, a.replies as aware_replies, u.valid as unaware_valid, a.valid as aware_valid,
        2 * u.valid >= u.replies and 2 * a.valid >= a.replies as answered
    from spa_conditions
    join sides a on a.condition_id = aware_id
    join sides u on u.condition_id = unaware_id and u.country = '*' and u.reading = a.reading
        and u.item_id = a.item_id and u.replies = a.replies
),
beside as (
    select p.unaware_id, p.aware_id, p.reading, p.item_id, p.country,
        coalesce(u.share, 0) as unaware, coalesce(a.share, 0) as aware
    from pairs p
    join (select question_id, unnest(map_keys(options)) as code from spa_questions) o on o.question_id = p.item_id
    left join shares u on u.condition_id = unaware_id and u.country = '*' and u.reading = p.reading
        and u.item_id = p.item_id and u.code = o.code
    left join shares a on a.condition_id = aware_id and a.country = p.country and a.reading = p.reading
        and a.item_id = p.item_id and a.code = o.code
    where p.answered
),
distances as (
    select unaware_id, aware_id, reading, item_id, country, round(sum(abs(unaware - aware)) / 2, 9) as tv,
        round(sqrt(greatest(sum(
            case when unaware > 0 then unaware * log2(2 * unaware / (unaware + aware)) else 0 end
            + case when aware > 0 then aware * log2(2 * aware / (unaware + aware)) else 0 end
        ) / 2, 0)), 9) as js
    from beside group by all
)
select p.unaware_id, p.aware_id, c.model, c.engine, p.reading, p.item_id as question_id, q.topic, q.paraphrases, p.country,
    u.codes[1] as unaware_code, a.codes[1] as aware_code,
    p.unaware_valid / p.unaware_replies as unaware_valid, p.aware_valid / p.aware_replies as aware_valid,
    p.answered, case when p.answered then not list_has_any(u.codes, a.codes) end as differ, d.tv, d.js, n.noise
from pairs p join spa_conditions c using (unaware_id, aware_id)
join spa_questions q on q.question_id = p.item_id
left join chosen u on u.condition_id = p.unaware_id and u.country = '*' and u.reading = p.reading
    and u.item_id = p.item_id
left join chosen a on a.condition_id = p.aware_id and a.country = p.country and a.reading = p.reading
    and a.item_id = p.item_id
left join distances d on d.unaware_id = p.unaware_id and d.aware_id = p.aware_id and d.reading = p.reading
    and d.item_id = p.item_id and d.country = p.country
left join noises n on n.condition_id = p.unaware_id and n.reading = p.reading and n.item_id = p.item_id;
comment on view spa_pairs is 'A model''s answer to a question without a culture beside its answer for one, a row for each question and culture that were asked both ways, equally often.';
comment on column spa_pairs.unaware_id is 'Row of survey_conditions of the answer without a culture.';
comment on column spa_pairs.aware_id is 'Row of survey_conditions of the answer for the culture.';
comment on column spa_pairs.country is 'The culture, ISO 3166 alpha-3.';
comment on column spa_pairs.unaware_code is 'Option with the largest share without a culture, over all orders and samples; of equal ones the first. Null without a valid answer.';
comment on column spa_pairs.aware_code is 'The same for the culture.';
comment on column spa_pairs.unaware_valid is 'Share of the replies without a culture that are an answer.';
comment on column spa_pairs.aware_valid is 'Share of the replies for the culture that are an answer.';
comment on column spa_pairs.answered is 'Whether at least half of the replies are an answer, on both sides.';
comment on column spa_pairs.differ is 'Whether no option has the largest share on both sides; null where it is not answered on both.';
comment on column spa_pairs.tv is 'Total variation of the two distributions, half the sum of absolute differences of shares; null where it is not answered on both sides.';
comment on column spa_pairs.js is 'Their Jensen-Shannon distance, 0 to 1; null where it is not answered on both sides.';
comment on column spa_pairs.noise is 'Total variation that sampling and option order alone would give between two such averages without a culture, by how far its replies differ; null with fewer than two.';

create or replace view spa_funnel as
with asked as (
    select aware_id, model, reading, topic, country, count(*) as asked, count(*) filter (answered) as answered,
        count(*) filter (differ) as different
    from spa_pairs group by all
),
sets as (
    select selection_id, settings ->> '$.aware_id' as aware_id, settings ->> '$.reading' as reading,
        settings ->> '$.method' as method
    from spa_selection_sets
),
chosen as (
    select selection_id, topic, country, count(*) as selected
    from spa_selections join spa_questions using (question_id) group by all
)
select aware_id, model, reading, topic, country, asked, answered, different, s.selection_id, s.method,
    case when s.selection_id is not null then coalesce(selected, 0) end as selected
from asked left join sets s using (aware_id, reading)
left join chosen using (selection_id, topic, country);
comment on view spa_funnel is 'From what was asked to what is learned: pairs of a question and a culture, by topic and culture; a row for each selection made of them.';
comment on column spa_funnel.aware_id is 'Row of survey_conditions of the answers for a culture.';
comment on column spa_funnel.asked is 'Questions asked without a culture and for this one.';
comment on column spa_funnel.answered is 'Of them, those answered on both sides.';
comment on column spa_funnel.different is 'Of them, those answered differently.';
comment on column spa_funnel.selection_id is 'Row of spa_selection_sets; null where there is no selection.';
comment on column spa_funnel.method is 'How it selects; null where there is no selection.';
comment on column spa_funnel.selected is 'Pairs that it holds; null where there is no selection.';
