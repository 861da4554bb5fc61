{{ config(materialized='ephemeral') }}

with

gate_results as (

    select * from {{ ref('gate_results') }}

),

ranked as (

    select
        *,
        rank() over (
            partition by batch_id
            order by verdict_number desc, judged_at desc
        ) as recency

    from gate_results

),

final as (

    select * except (recency)

    from ranked

    where recency = 1

)

select * from final
