{# How views are made. #}


{% materialization view, adapter='spark' %}
    {#- As dbt-spark's, but without a statement for a view that is as it should be. -#}
    {%- set relation = this.incorporate(type='view') -%}
    {%- set existing = load_relation(this) -%}

    {{ run_hooks(pre_hooks) }}

    {%- if existing is not none and is_current(existing) -%}
        {%- call noop_statement('main', 'unchanged') -%}{%- endcall -%}
    {%- else -%}
        {%- if existing is not none and not existing.is_view -%}
            {%- do adapter.drop_relation(existing) -%}
        {%- endif -%}
        {%- call statement('main') -%}
            {{ get_create_view_as_sql(relation, compiled_code) }}
        {%- endcall -%}
    {%- endif -%}

    {{ run_hooks(post_hooks) }}

    {{ return({'relations': [relation]}) }}

{% endmaterialization %}


{% macro is_current(existing) -%}
    {#- Whether a relation is a view of the model's SQL with all columns of the model; a view does not
        get the columns that were added to its tables later. dbt has read its definition already. -#}
    {%- set columns = modules.re.findall('[|]-- (\\w+): ', existing.information or '') -%}
    {{ return(
        existing.is_view
        and compiled_code.strip() in existing.information
        and not model.columns.keys() | reject('in', columns) | list
    ) }}
{%- endmacro %}


{% materialization literal_view, adapter='spark' %}
    {#- A view of the rows that the query has now, as literals: for the few rows, one for each pending
        load, that other models read again and again. Its readers run no job for it, whereas Delta
        lists the files of a table for each reference. -#}
    {%- set relation = this.incorporate(type='view') -%}
    {%- set existing = load_relation(this) -%}

    {{ run_hooks(pre_hooks) }}

    {%- set has_one_row = config.get('meta').rows == 'one' -%}
    {%- set rows = run_query(rows_as_literals(compiled_code, has_one_row)).columns[0].values() -%}
    {%- if existing is not none and not existing.is_view -%}
        {%- do adapter.drop_relation(existing) -%}
    {%- endif -%}
    {%- call statement('main') -%}
        create or replace view {{ relation }} as
        {%- if has_one_row %}
        {#- Spark replaces a subquery of such a view by its value when it plans a statement, so that a
            filter with it selects partitions like a constant. #}
        select {{ rows | first }}
        {%- elif rows %}
        select * from values
            {%- for row in rows %}
            ({{ row }}){{ ',' if not loop.last }}
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


{% macro rows_as_literals(query, with_names) -%}
    {#- A query for the rows of another one, each as the text of its literals. -#}
    select
        concat_ws(
            ', ',
            {%- for column in model.columns.values() %}
            coalesce(
                concat(
                    'cast(',
                    {%- if column.data_type.startswith('array') %}
                    'array(',
                    array_join(transform({{ column.name }}, item -> {{ text_of('item') }}), ', '),
                    ')',
                    {%- else %}
                    {{ text_of(column.name) }},
                    {%- endif %}
                    ' as {{ column.data_type }})'
                ),
                'cast(null as {{ column.data_type }})'
            ) {{ "|| ' as " ~ column.name ~ "'" if with_names }}{{ ',' if not loop.last }}
            {%- endfor %}
        ) as literals

    from ({{ query }})
{%- endmacro %}


{% macro text_of(value) -%}
    {#- The literal of a value as a text, in quotes. -#}
    concat('\'', regexp_replace(cast({{ value }} as string), '([\'\\\\])', '\\\\$1'), '\'')
{%- endmacro %}


{% macro create_scores_table() -%}
    {#- Create the trainer's table before the first score, so that its view can be created. -#}
    {%- set scores = source('scores', 'churn_scores') -%}
    {%- if execute and load_relation(scores) is none -%}
        create table if not exists {{ scores }} (
            {%- for column in graph.sources['source.telco_churn.scores.churn_scores'].columns.values() %}
            {{ column.name }} {{ column.data_type }}{{ ',' if not loop.last }}
            {%- endfor %}
        )
        using delta
    {%- endif -%}
{%- endmacro %}
