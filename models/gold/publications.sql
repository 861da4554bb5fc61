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

open_loads as (

    select * from {{ ref('open_loads') }}

),

published as (

    select * from {{ published_before() }}

),

passed_loads as (

    select * from {{ ref('load_verdicts') }}
    where verdict = 'passed'

),

features as (

    select * from {{ ref('customer_features') }}

),

labels as (

    select * from {{ ref('churn_labels') }}

),

published_features as (

    select
        extract_date,
        created_timestamp,
        count(*) as customers

    from features

    where {{ has_date_of('open_loads') }}

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

    where {{ has_date_of('open_loads') }}

    group by
        extract_date,
        created_timestamp

),

-- a load is published if both tables contain it with the same number of customers
final as (

    select
        open_loads.batch_id,
        open_loads.extract_date,
        open_loads.loaded_at as created_timestamp,
        cast(published_features.customers as int) as customers,
        passed_loads.run_id,
        current_timestamp() as published_at,
        {{ next_number('publication_number', 'published') }} as publication_number

    from open_loads

    inner join passed_loads
        on open_loads.batch_id = passed_loads.batch_id

    inner join published_features
        on
            open_loads.extract_date = published_features.extract_date
            and open_loads.loaded_at = published_features.created_timestamp

    inner join published_labels
        on
            open_loads.extract_date = published_labels.extract_date
            and open_loads.loaded_at = published_labels.created_timestamp
            and published_features.customers = published_labels.customers

)

select * from final
