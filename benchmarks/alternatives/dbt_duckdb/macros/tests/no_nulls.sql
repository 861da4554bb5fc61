{% test no_nulls(model) %}
{#- Rows with a null in any column. -#}

select * from {{ model }}
where {{ has_gap(model, 'all') }}

{% endtest %}


{% macro has_gap(table, complete) -%}
    {#- Whether a row has a null in one of the columns; `all` means every column of the table. -#}
    {%- set columns = complete or [] -%}
    {%- if complete == 'all' -%}
        {%- set columns = adapter.get_columns_in_relation(table) | map(attribute='name') | list
            if execute else [] -%}
    {%- endif -%}
    {{ columns | join(' is null or ') ~ ' is null' if columns else 'false' }}
{%- endmacro %}
