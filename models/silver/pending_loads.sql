{{ config(materialized='literal_view', file_format=none) }}

with

loads as (

    select * from {{ source('bronze', 'loads') }}

),

cleaned as (

    select * from {{ previous_load_counts() }}

),

evaluated as (

    select * from {{ previous_gate_results() }}

),

published as (

    select * from {{ previous_publications() }}

),

gold_loads as (

    select * from {{ current_gold_loads() }}

),

-- a later load of a date replaces the earlier ones
ranked as (

    select
        batch_id,
        extract_date,
        _loaded_at as loaded_at,
        row_count,
        row_number() over (
            partition by extract_date
            order by load_number desc, _loaded_at desc, batch_id asc
        ) as recency

    from loads

),

positions as (

    select
        *,
        struct(verdict_number, judged_at) as verdict_position

    from evaluated

),

-- only the latest evaluation of a load counts
states as (

    select
        batch_id,
        max_by(rules_version, verdict_position) as rules_version,
        max(verdict_position) <=> max(
            case when verdict = 'pending' then verdict_position end
        ) as is_requeued,
        max(verdict_position) <=> max(
            case when severity = 'error' and verdict = 'failed' then verdict_position end
        ) as is_refused,
        max_by(verdict = 'superseded', verdict_position) as is_superseded

    from positions

    group by batch_id

),

pending as (

    select
        ranked.*,
        coalesce(states.is_requeued, false) or cleaned.batch_id is null as to_clean

    from ranked

    left join states
        on ranked.batch_id = states.batch_id

    left join cleaned
        on
            ranked.batch_id = cleaned.batch_id
            and cleaned.rules_version = '{{ rules_version() }}'

    left join published
        on ranked.batch_id = published.batch_id

    where
        ranked.recency = 1
        and (
            coalesce(states.is_requeued, false)
            or (
                published.batch_id is null
                -- a refused load stays refused until the rules change or another workbook is loaded
                and not (
                    coalesce(states.is_refused, false)
                    and states.rules_version = '{{ rules_version() }}'
                )
            )
        )

),

-- a pending load supersedes the earlier ones of its date: at once those that are not in gold, and
-- the one that is in gold if it passes
superseded as (

    select
        ranked.extract_date,
        array_sort(
            collect_list(if(gold_loads.batch_id is null, ranked.batch_id, null))
        ) as batch_ids,
        max(gold_loads.batch_id) as batch_id_in_gold

    from ranked

    left join states
        on ranked.batch_id = states.batch_id

    left join gold_loads
        on ranked.batch_id = gold_loads.batch_id

    where
        ranked.recency > 1
        and not coalesce(states.is_superseded, false)

    group by ranked.extract_date

),

-- never the extract that the load replaces
other_extracts as (

    select
        pending.batch_id,
        max(
            if(
                gold_loads.extract_date < pending.extract_date,
                struct(gold_loads.extract_date, gold_loads.batch_id),
                null
            )
        ) as last_before,
        min(struct(gold_loads.extract_date, gold_loads.batch_id)) as first_after

    from pending

    inner join gold_loads
        on pending.extract_date != gold_loads.extract_date

    group by pending.batch_id

),

final as (

    select
        pending.batch_id,
        pending.extract_date,
        pending.loaded_at,
        pending.row_count,
        pending.to_clean,
        coalesce(superseded.batch_ids, array()) as superseded_batch_ids,
        superseded.batch_id_in_gold as superseded_if_passed,
        coalesce(other_extracts.last_before, other_extracts.first_after).batch_id
            as published_baseline_batch_id,
        coalesce(other_extracts.last_before, other_extracts.first_after).extract_date
            as published_baseline_date,
        {{ next_number('publication_number', 'published') }} as publication_number

    from pending

    left join superseded
        on pending.extract_date = superseded.extract_date

    left join other_extracts
        on pending.batch_id = other_extracts.batch_id

)

select * from final
