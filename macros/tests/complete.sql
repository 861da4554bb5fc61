{% test complete(model, columns=none) %}
{#- Columns that hold a null, with how many; the listed columns, or all of the table, in one scan
    instead of a statement for each column. -#}
{%- set names = columns or (
    adapter.get_columns_in_relation(model) | map(attribute='name') | list if execute else []
) -%}

select
    gaps.column_name,
    gaps.nulls

from (
    select
        explode(array(
            {%- for name in names %}
            struct('{{ name }}' as column_name, count_if({{ name }} is null) as nulls)
            {{- ',' if not loop.last }}
            {%- endfor %}
        )) as gaps

    from {{ model }}
)

where gaps.nulls > 0

{% endtest %}
