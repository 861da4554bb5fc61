{# What a build is about: the rows of the loads that are open, and nothing of other months. #}


{% macro has_date_of(loads, column='extract_date') -%}
    {#- Whether a row is of an extract date of the loads, as a condition by which the partitions of
        other dates are not read; a join or an `in` alone does not tell Spark so. -#}
    array_contains((select collect_set({{ loads }}.extract_date) from {{ loads }}), {{ column }})
{%- endmacro %}


{% macro typed_open_rows() %}
{#- The rows of the loads that are to be cleaned, where every model of silver begins: by row its keys,
    every column as silver has it (null where the contract does not accept it), and `source_row`, the
    row of bronze, a struct. A macro and no table: written down they would be half of the bytes of a
    build. -#}
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

-- the source row is set apart: some of its columns bear the name that silver gives to the value
final as (

    select
        _batch_id,
        _row_number,
        _extract_date as extract_date,
        _loaded_at,
        {%- for column, rule in contract.items() %}
        {{ typed_value(column, contract) }} as {{ rule.silver }},
        {%- endfor %}
        struct(open_rows.*) as source_row

    from open_rows

)

select * from final

{% endmacro %}
