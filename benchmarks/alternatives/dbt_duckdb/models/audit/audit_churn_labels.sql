{{ config(alias='churn_labels') }}

with

customers as (

    select * from {{ ref('customers') }}

),

final as (

    select
        _batch_id as batch_id,
        customer_id,
        cast(extract_date as timestamptz) as event_timestamp,
        _loaded_at as created_timestamp,
        churned,
        extract_date

    from customers

)

select * from final
