{{ config(materialized='view') }}

{%- set contract = var('source_contract') %}

with

source_rows as (

    select * from {{ source('bronze', 'telco_customers') }}

),

loads as (

    select * from {{ ref('loads') }}

),

cells as (

    select
        _batch_id,
        _row_number,
        _extract_date as extract_date,
        _loaded_at,
        {%- for column in contract %}
        {{ adapter.quote(column) }} as {{ raw_cell(column) }}{{ ',' if not loop.last }}
        {%- endfor %}

    from source_rows

    where _batch_id in (select loads.batch_id from loads)

),

-- computed once, because many rules use it
standardised as (

    select
        *,
        {%- for column in contract %}
        {{ standardised(column, contract) }} as {{ text_of(column) }}{{ ',' if not loop.last }}
        {%- endfor %}

    from cells

),

typed as (

    select
        *,
        {%- for column, rule in contract.items() %}
        {{ typed_value(column, contract) }} as {{ rule.name }}{{ ',' if not loop.last }}
        {%- endfor %}

    from standardised

),

final as (

    select
        *,
        -- the first error is sufficient here; all errors of invalid rows are listed later
        coalesce(
            {%- for column in contract %}
            {{ cell_error_code(column, contract) }},
            {%- endfor %}
            {%- for term in row_rule_terms(contract) %}
            {{ row_rule_error_code(term) }}{{ ',' if not loop.last }}
            {%- endfor %}
        ) is null as is_sound

    from typed

)

select * from final
