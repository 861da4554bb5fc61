{{ config(materialized='table', alias='churn_labels') }}

with

pending_loads as (

    select * from {{ ref('pending_loads') }}

),

pending_dates as (

    select * from {{ ref('pending_dates') }}

),

customers as (

    select * from {{ ref('customers') }}
    where array_contains((select pending_dates.extract_dates from pending_dates), extract_date)

),

final as (

    select
        pending_loads.batch_id,
        customers.customer_id,
        cast(customers.extract_date as timestamp) as event_timestamp,
        pending_loads.loaded_at as created_timestamp,
        customers.churned,
        {{ candidates_time() }} as built_at,
        customers.extract_date

    from customers

    inner join pending_loads
        on
            customers.extract_date = pending_loads.extract_date
            and customers._batch_id = pending_loads.batch_id

)

select * from final
