{{
    config(
        materialized='published_partitions',
        partition_by='extract_date',
        file_format='parquet',
        full_refresh=false,
    )
}}

with

candidates as (

    select * from {{ ref('audit_churn_labels') }}

),

passed_loads as (

    select * from {{ ref('load_verdicts') }}
    where verdict = 'passed'

),

final as (

    select candidates.* except (batch_id, built_at)

    from candidates

    -- a verdict on earlier candidates says nothing about these
    inner join passed_loads
        on
            candidates.batch_id = passed_loads.batch_id
            and candidates.built_at <= passed_loads.candidates_built_at

)

select * from final
