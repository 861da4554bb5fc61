{{ config(materialized='view', file_format=none) }}

with

features as (

    select * from {{ ref('customer_features') }}

),

labels as (

    select * from {{ ref('churn_labels') }}

),

final as (

    select
        features.*,
        labels.churned

    from features

    -- the load's time identifies it here: no two loads of one date have the same
    inner join labels
        on
            features.customer_id = labels.customer_id
            and features.extract_date = labels.extract_date
            and features.created_timestamp = labels.created_timestamp

)

select * from final
