{# What a build is about: the rows of the loads that are open, and nothing of other months. #}


{% macro has_date_of(loads, column='extract_date') -%}
    {#- Whether a row is of an extract date of the loads, as a condition by which the partitions of
        other dates are not read; a join or an `in` alone does not tell Spark so. -#}
    array_contains((select collect_set({{ loads }}.extract_date) from {{ loads }}), {{ column }})
{%- endmacro %}


{% macro typed_open_rows() %}
{#- The rows of the loads that are to be cleaned, where every model of silver begins: by row its keys,
    every column as silver has it (null where the contract does not accept it), and what the workbook
    says: `cells`, a struct by column, `_extra`, the further columns, and where it lies. A macro and no
    table: written down they would be half of the bytes of a build. -#}
{%- set contract = var('source_contract') -%}

with

loads as (

    select * from {{ ref('open_loads') }}
    where to_clean

),

source_rows as (

    select * from {{ source('bronze', 'telco_customers') }}
    where {{ has_date_of('loads', '_extract_date') }}

),

open_rows as (

    select source_rows.*

    from source_rows

    inner join loads
        on source_rows._batch_id = loads.batch_id

),

-- the workbook's cells are set apart: some bear the name that silver gives to the typed value
final as (

    select
        _batch_id,
        _row_number,
        _extract_date as extract_date,
        _loaded_at,
        {%- for column, rule in contract.items() %}
        {{ typed_value(column, contract) }} as {{ rule.silver }},
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

    from open_rows

)

select * from final

{% endmacro %}
