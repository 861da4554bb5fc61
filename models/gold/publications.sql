{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='batch_id',
        full_refresh=false,
        on_schema_change='append_new_columns',
    )
}}

with

pending_loads as (

    select * from {{ ref('pending_loads') }}

),

pending_dates as (

    select * from {{ ref('pending_dates') }}

),

passed_loads as (

    select * from {{ ref('load_verdicts') }}
    where verdict = 'passed'

),

features as (

    select * from {{ ref('customer_features') }}
    where array_contains((select pending_dates.extract_dates from pending_dates), extract_date)

),

labels as (

    select * from {{ ref('churn_labels') }}
    where array_contains((select pending_dates.extract_dates from pending_dates), extract_date)

),

published_features as (

    select
        extract_date,
        created_timestamp,
        count(*) as customers

    from features

    group by
        extract_date,
        created_timestamp

),

published_labels as (

    select
        extract_date,
        created_timestamp,
        count(*) as customers

    from labels

    group by
        extract_date,
        created_timestamp

),

-- a load is published if both tables contain it with the same number of customers
final as (

    select
        pending_loads.batch_id,
        pending_loads.extract_date,
        pending_loads.loaded_at as created_timestamp,
        cast(published_features.customers as int) as customers,
        passed_loads.run_id,
        current_timestamp() as published_at,
        pending_loads.publication_number

    from pending_loads

    inner join passed_loads
        on pending_loads.batch_id = passed_loads.batch_id

    inner join published_features
        on
            pending_loads.extract_date = published_features.extract_date
            and pending_loads.loaded_at = published_features.created_timestamp

    inner join published_labels
        on
            pending_loads.extract_date = published_labels.extract_date
            and pending_loads.loaded_at = published_labels.created_timestamp
            and published_features.customers = published_labels.customers

)

select * from final
