{{ config(materialized='table', alias='customer_features') }}

{%- set add_ons = [
    'online_security', 'online_backup', 'device_protection', 'tech_support', 'streaming_tv',
    'streaming_movies',
] %}
{%- set contract = var('source_contract') %}

with

open_loads as (

    select * from {{ ref('open_loads') }}

),

customers as (

    select * from {{ ref('customers') }}
    where {{ has_date_of('open_loads') }}

),

candidates as (

    select
        customers.*,
        open_loads.batch_id,
        open_loads.loaded_at

    from customers

    inner join open_loads
        on
            customers.extract_date = open_loads.extract_date
            and customers._batch_id = open_loads.batch_id

),

final as (

    select
        -- ids
        batch_id,
        customer_id,

        -- times
        cast(extract_date as timestamp) as event_timestamp,
        loaded_at as created_timestamp,

        -- numbers
        {%- for name in plain_features(contract, ['integer', 'number']) %}
        {{ name }},
        {%- endfor %}
        {{ derived_number('avg_historical_charge') }} as avg_historical_charge,
        {{ derived_number('billing_ratio') }} as billing_ratio,
        cast(
            phone_service
            + case when multiple_lines = 'Yes' then 1 else 0 end
            + case when internet_service != 'No' then 1 else 0 end
            {%- for service in add_ons %}
            + case when {{ service }} = 'Yes' then 1 else 0 end
            {%- endfor %}
            as int
        ) as service_count,

        -- groups
        case
            when tenure < 12 then 0
            when tenure < 24 then 1
            when tenure < 48 then 2
            else 3
        end as tenure_group,

        -- flags
        cast(tenure > 24 and monthly_charges > 80 as int) as is_high_value,
        {%- for name in plain_features(contract, ['flag']) %}
        {{ name }},
        {%- endfor %}
        {%- for column in one_hot_columns(contract) %}
        cast({{ column.condition }} as int) as {{ column.name }},
        {%- endfor %}

        -- identifies the candidates that a verdict applies to: rebuilt ones need a new verdict
        {{ candidates_time() }} as built_at,
        extract_date

    from candidates

)

select * from final
