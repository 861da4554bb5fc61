{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='batch_id',
        full_refresh=false,
    )
}}

with

open_loads as (

    select * from {{ ref('open_loads') }}
    where to_clean

),

source_rows as (

    select * from {{ source('bronze', 'telco_customers') }}

),

customers as (

    select * from {{ ref('customers') }}

),

rejected_rows as (

    select * from {{ ref('rejected_rows') }}

),

bronze_counts as (

    select
        _batch_id,
        count(*) as bronze_rows

    from source_rows

    where
        {{ has_date_of('open_loads', '_extract_date') }}
        and _batch_id in (select open_loads.batch_id from open_loads)

    group by _batch_id

),

silver_counts as (

    select
        _batch_id,
        count(*) as silver_rows

    from customers

    where {{ has_date_of('open_loads') }}

    group by _batch_id

),

reject_counts as (

    select
        _batch_id,
        count_if(reasons[0].code = 'exact_duplicate') as exact_duplicates,
        count_if(reasons[0].code != 'exact_duplicate') as rejected_rows

    from rejected_rows

    where {{ has_date_of('open_loads') }}

    group by _batch_id

),

final as (

    select
        open_loads.batch_id,
        open_loads.extract_date,
        cast(coalesce(bronze_counts.bronze_rows, 0) as int) as bronze_rows,
        cast(coalesce(silver_counts.silver_rows, 0) as int) as silver_rows,
        cast(coalesce(reject_counts.exact_duplicates, 0) as int) as exact_duplicates,
        cast(coalesce(reject_counts.rejected_rows, 0) as int) as rejected_rows,
        '{{ rules_version() }}' as rules_version,
        current_timestamp() as cleaned_at

    from open_loads

    left join bronze_counts
        on open_loads.batch_id = bronze_counts._batch_id

    left join silver_counts
        on open_loads.batch_id = silver_counts._batch_id

    left join reject_counts
        on open_loads.batch_id = reject_counts._batch_id

)

select * from final
