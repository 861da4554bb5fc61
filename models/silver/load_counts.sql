{{
    config(
        materialized='incremental',
        incremental_strategy='replace_where',
        unique_key='batch_id',
        full_refresh=false,
    )
}}

with

pending_dates as (

    select * from {{ ref('pending_dates') }}

),

loads_to_clean as (

    select * from {{ ref('pending_loads') }}
    where to_clean

),

customers as (

    select * from {{ ref('customers') }}
    where array_contains((select pending_dates.dates_to_clean from pending_dates), extract_date)

),

rejected_rows as (

    select * from {{ ref('rejected_rows') }}
    where array_contains((select pending_dates.dates_to_clean from pending_dates), extract_date)

),

source_rows as (

    select * from {{ source('bronze', 'telco_customers') }}
    where array_contains((select pending_dates.dates_to_clean from pending_dates), _extract_date)

),

bronze_counts as (

    select
        _batch_id,
        count(*) as bronze_rows

    from source_rows

    where _batch_id in (select loads_to_clean.batch_id from loads_to_clean)

    group by _batch_id

),

silver_counts as (

    select
        _batch_id,
        count(*) as silver_rows

    from customers

    group by _batch_id

),

reject_counts as (

    select
        _batch_id,
        count_if(reasons[0].code = 'exact_duplicate') as exact_duplicates,
        count_if(reasons[0].code != 'exact_duplicate') as rejected_rows

    from rejected_rows

    group by _batch_id

),

final as (

    select
        loads_to_clean.batch_id,
        loads_to_clean.extract_date,
        cast(coalesce(bronze_counts.bronze_rows, 0) as int) as bronze_rows,
        cast(coalesce(silver_counts.silver_rows, 0) as int) as silver_rows,
        cast(coalesce(reject_counts.exact_duplicates, 0) as int) as exact_duplicates,
        cast(coalesce(reject_counts.rejected_rows, 0) as int) as rejected_rows,
        '{{ rules_version() }}' as rules_version,
        current_timestamp() as cleaned_at

    from loads_to_clean

    left join bronze_counts
        on loads_to_clean.batch_id = bronze_counts._batch_id

    left join silver_counts
        on loads_to_clean.batch_id = silver_counts._batch_id

    left join reject_counts
        on loads_to_clean.batch_id = reject_counts._batch_id

)

select * from final
