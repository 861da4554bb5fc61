{{ config(
    materialized='view',
    file_format=none,
    persist_docs={'relation': true, 'columns': true},
) }}

{%- set contract = var('source_contract') %}

with

customers as (

    select * from {{ ref('features_with_labels') }}

),

published as (

    select max(extract_date) as latest_date from {{ ref('publications') }}

),

final as (

    select
        customers.customer_id,

        -- the workbook's columns
        {%- for rule in contract.values() if rule.type != 'text' and not rule.is_label %}
        {{ value_in_words(rule) }} as {{ rule.name }},
        {%- endfor %}

        -- computed from them
        {%- for name in var('derived_features') %}
        customers.{{ name }},
        {%- endfor %}

        {%- for rule in contract.values() if rule.is_label %}
        {{ value_in_words(rule) }} as {{ rule.name }},
        {%- endfor %}
        customers.extract_date

    from customers

    inner join published
        on customers.extract_date = published.latest_date

)

select * from final
