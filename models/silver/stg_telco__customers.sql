{{ config(materialized='ephemeral') }}

{%- set contract = var('source_contract') %}
{%- set checks = [] %}
{%- for column in contract %}
{%- do checks.append({'code': cell_error_code(column, contract), 'column': column}) %}
{%- endfor %}
{%- for term in row_rule_terms(contract) %}
{%- do checks.append({'code': row_rule_error_code(term), 'column': term.column}) %}
{%- endfor %}

with

loads_to_clean as (

    select * from {{ ref('pending_loads') }}
    where to_clean

),

pending_dates as (

    select * from {{ ref('pending_dates') }}

),

source_rows as (

    select * from {{ source('bronze', 'telco_customers') }}
    where array_contains((select pending_dates.dates_to_clean from pending_dates), _extract_date)

),

-- without rows of other loads of the same date
rows_to_clean as (

    select source_rows.*

    from source_rows

    inner join loads_to_clean
        on source_rows._batch_id = loads_to_clean.batch_id

),

-- null if the contract does not accept the cell; the cells themselves are in a struct, because some
-- have the same name as the typed value
typed as (

    select
        _batch_id,
        _row_number,
        _extract_date as extract_date,
        _loaded_at,
        {%- for column, rule in contract.items() %}
        {{ typed_value(column, contract) }} as {{ rule.name }},
        {%- endfor %}
        struct(
            {%- for column in contract %}
            {{ adapter.quote(column) }}{{ ',' if not loop.last }}
            {%- endfor %}
        ) as cells,
        _extra,
        _source_file,
        _source_sha256,
        _sheet

    from rows_to_clean

),

validated as (

    select
        *,
        coalesce(
            {%- for check in checks %}
            {{ check.code }}{{ ',' if not loop.last }}
            {%- endfor %}
        ) is null as is_valid

    from typed

),

-- errors are listed for few rows: listing takes longer than finding out whether there is one
final as (

    select
        *,
        if(
            is_valid, -- noqa: RF03
            null,
            filter(
                array(
                    {%- for check in checks %}
                    {{ reject_reason(check.code, check.column) }}{{ ',' if not loop.last }}
                    {%- endfor %}
                ),
                reason -> reason.code is not null
            )
        ) as errors

    from validated

)

select * from final
