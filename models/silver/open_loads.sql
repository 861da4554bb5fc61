{{ config(materialized='literal_view', file_format=none) }}

with

loads as (

    select * from {{ source('bronze', 'loads') }}

),

cleaned as (

    select * from {{ cleaned_before() }}

),

judged as (

    select * from {{ judged_before() }}

),

published as (

    select * from {{ published_before() }}

),

-- a later load of a date replaces the earlier ones
latest as (

    select
        batch_id,
        extract_date,
        _loaded_at as loaded_at,
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

    from judged

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
        ) as is_refused

    from positions

    group by batch_id

),

final as (

    select
        latest.batch_id,
        latest.extract_date,
        latest.loaded_at,
        coalesce(states.is_requeued, false) or cleaned.batch_id is null as to_clean

    from latest

    left join states
        on latest.batch_id = states.batch_id

    left join cleaned
        on
            latest.batch_id = cleaned.batch_id
            and cleaned.rules_version = '{{ rules_version() }}'

    left join published
        on latest.batch_id = published.batch_id

    where
        latest.recency = 1
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

)

select * from final
