{{ config(materialized='table', alias='churn_labels') }}

with

open_loads as (

    select * from {{ ref('open_loads') }}

),

customers as (

    select * from {{ ref('customers') }}
    where {{ has_date_of('open_loads') }}

),

final as (

    select
        open_loads.batch_id,
        customers.customer_id,
        cast(customers.extract_date as timestamp) as event_timestamp,
        open_loads.loaded_at as created_timestamp,
        customers.churned,
        {{ candidates_time() }} as built_at,
        customers.extract_date

    from customers

    inner join open_loads
        on
            customers.extract_date = open_loads.extract_date
            and customers._batch_id = open_loads.batch_id

)

select * from final
