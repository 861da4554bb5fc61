{# How the few rows are kept that other models read again and again, a row for each pending load: a
   view that consists of literal rows costs its readers no job, whereas Delta lists the files of a
   table for each reference to it. #}


{% materialization literal_view, adapter='spark' %}
    {#- A view of the rows that the query has now. -#}
    {%- set relation = this.incorporate(type='view') -%}
    {%- set existing = load_relation(this) -%}

    {{ run_hooks(pre_hooks) }}

    {%- set rows = run_query(rows_as_literals(compiled_code)).columns[0].values() -%}
    {%- if existing is not none and not existing.is_view -%}
        {%- do adapter.drop_relation(existing) -%}
    {%- endif -%}
    {%- call statement('main') -%}
        create or replace view {{ relation }} as
        {%- if rows %}
        select * from values
            {%- for row in rows %}
            {{ row }}{{ ',' if not loop.last }}
            {%- endfor %}
            as {{ relation.identifier }} ({{ model.columns | join(', ') }})
        {%- else %}
        select
            {%- for column in model.columns.values() %}
            cast(null as {{ column.data_type }}) as {{ column.name }}{{ ',' if not loop.last }}
            {%- endfor %}
        where false
        {%- endif %}
    {%- endcall -%}

    {{ run_hooks(post_hooks) }}

    {{ return({'relations': [relation]}) }}

{% endmaterialization %}


{% macro rows_as_literals(query) -%}
    {#- A query for the rows of another one, each as the text of its literals. -#}
    select
        concat(
            '(',
            concat_ws(
                ', ',
                {%- for column in model.columns.values() %}
                coalesce(
                    concat(
                        'cast(\'',
                        regexp_replace(cast({{ column.name }} as string), '([\'\\\\])', '\\\\$1'),
                        '\' as {{ column.data_type }})'
                    ),
                    'cast(null as {{ column.data_type }})'
                ){{ ',' if not loop.last }}
                {%- endfor %}
            ),
            ')'
        ) as literals

    from ({{ query }})
{%- endmacro %}
