{{ config(alias='customer_features') }}

{%- set add_ons = [
    'online_security', 'online_backup', 'device_protection', 'tech_support', 'streaming_tv',
    'streaming_movies',
] %}
{%- set contract = var('source_contract') %}

with

customers as (

    select * from {{ ref('customers') }}

),

averages as (

    select
        *,
        case when tenure = 0 then monthly_charges else total_charges / tenure end
            as avg_historical_charge

    from customers

),

final as (

    select
        -- ids
        _batch_id as batch_id,
        customer_id,

        -- times
        cast(extract_date as timestamptz) as event_timestamp,
        _loaded_at as created_timestamp,

        -- numbers
        {%- for name in plain_features(contract, ['integer', 'number']) %}
        {{ name }},
        {%- endfor %}
        avg_historical_charge,
        case when avg_historical_charge = 0 then 1.0::double else monthly_charges / avg_historical_charge end
            as billing_ratio,
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

        -- day
        extract_date

    from averages

)

select * from final
