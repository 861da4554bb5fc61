{{ config(materialized='view') }}

with

gate_results as (

    select * from {{ ref('gate_results') }}

),

final as (

    select
        batch_id,
        extract_date,
        case
            when bool_or(severity = 'error' and verdict = 'failed') then 'refused'
            else 'passed'
        end as verdict

    from gate_results

    group by
        batch_id,
        extract_date

)

select * from final
