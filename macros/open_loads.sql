{# The input of a build: the rows of the pending loads, without those of other extract dates. #}


{% macro has_date_of(loads, column='extract_date') -%}
    {#- Whether a row has an extract date of the loads, as a condition with which Spark prunes the
        partitions of other dates; with a join or an `in` alone it does not. -#}
    array_contains((select collect_set({{ loads }}.extract_date) from {{ loads }}), {{ column }})
{%- endmacro %}


{% macro typed_open_rows() %}
{#- The rows of the loads to clean, the input of every model of silver: a row's keys, every typed
    column (null if the contract does not accept the cell), the workbook's cells (`cells`, a struct
    by column, and `_extra`, the additional columns), and their location. It is a macro because a
    table would be half of the bytes that a build writes. -#}
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

-- the workbook's cells are in a struct because some have the same name as silver's typed value
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
