{{ config(materialized='table', alias='customer_features') }}

{%- set contract = var('source_contract') %}

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

candidates as (

    select
        customers.*,
        pending_loads.batch_id,
        pending_loads.loaded_at

    from customers

    inner join pending_loads
        on
            customers.extract_date = pending_loads.extract_date
            and customers._batch_id = pending_loads.batch_id

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
        {%- for name in plain_features(contract, ['integer', 'number', 'days_since']) %}
        {{ name }},
        {%- endfor %}
        {%- for name, feature in var('derived_features').items() %}
        cast({{ derived_feature(name) }} as {{ var('sql_types')[feature.type] }}) as {{ name }},
        {%- endfor %}

        -- flags
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
