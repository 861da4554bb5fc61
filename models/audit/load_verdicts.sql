{{ config(materialized='view', file_format=none) }}

with

latest_results as (

    select * from {{ ref('int_latest_gate_results') }}

),

final as (

    select
        batch_id,
        extract_date,
        max(run_id) as run_id,
        max(judged_at) as judged_at,
        max(verdict_number) as verdict_number,
        max(candidates_built_at) as candidates_built_at,
        case
            when bool_or(verdict = 'superseded') then 'superseded'
            when bool_or(verdict = 'pending') then 'pending'
            when bool_or(severity = 'error' and verdict = 'failed') then 'refused'
            else 'passed'
        end as verdict

    from latest_results

    group by
        batch_id,
        extract_date

)

select * from final
