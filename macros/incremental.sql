{# How the tables are written that keep the rows of earlier builds. #}


{% materialization incremental, adapter='spark' %}
    {#- As dbt-spark's, but with one statement for a table that exists: no temporary view, and no
        DESCRIBE, because a new column is added by the statement itself. -#}
    {%- set relation = this.incorporate(type='table') -%}
    {%- set strategy = config.require('incremental_strategy') -%}

    {{ run_hooks(pre_hooks) }}

    {%- if load_relation(this) is none -%}
        {%- call statement('main') -%}
            {{ create_table_as(false, relation, compiled_code) }}
        {%- endcall -%}
    {%- elif strategy == 'insert_overwrite' -%}
        {{ replace_dates_to_clean(relation, compiled_code) }}
    {%- else -%}
        {%- do assert_contract(compiled_code) -%}
        {%- call statement('main') -%}
            {%- if strategy == 'append' -%}
                insert with schema evolution into {{ relation }} by name
                {{ compiled_code }}
            {%- else -%}
                {{ merge_rows(relation, compiled_code, config.require('unique_key')) }}
            {%- endif -%}
        {%- endcall -%}
    {%- endif -%}

    {{ run_hooks(post_hooks) }}

    {{ return({'relations': [relation]}) }}

{% endmaterialization %}


{% macro replace_dates_to_clean(relation, query) -%}
    {#- Replace the dates of the loads to clean in one commit, also with no rows; a dynamic
        overwrite would not clear a date that has become empty. -#}
    {%- set dates = run_query(
        'select distinct extract_date from ' ~ ref('open_loads') ~ ' where to_clean'
    ).columns[0].values() -%}
    {%- if dates -%}
        {%- do assert_contract(query) -%}
        {%- call statement('main') -%}
            insert with schema evolution into {{ relation }} by name
            replace where extract_date in (
                {%- for date in dates %}date '{{ date }}'{{ ', ' if not loop.last }}{% endfor -%}
            )
            {{ query }}
        {%- endcall -%}
    {%- else -%}
        {%- call noop_statement('main', 'no load to clean') -%}{%- endcall -%}
    {%- endif -%}
{%- endmacro %}


{% macro merge_rows(relation, query, unique_key) -%}
    {#- Replace the rows with the keys of the query's rows, and add the others. -#}
    {%- set keys = [unique_key] if unique_key is string else unique_key -%}
    {%- set source = '(' ~ query ~ ')' -%}
    {%- if relation | string in query -%}
        {#- Spark can't read a table in a statement that merges into it, except through a view. -#}
        {%- set source = relation.identifier ~ '__built' -%}
        {%- do run_query('create or replace temporary view ' ~ source ~ ' as ' ~ query) -%}
    {%- endif -%}
    merge with schema evolution into {{ relation }} as existing
    using {{ source }} as built
    on
        {%- for key in keys %}
        {{ 'and ' if not loop.first }}existing.{{ key }} = built.{{ key }}
        {%- endfor %}
    when matched then update set *
    when not matched then insert *
{%- endmacro %}


{% macro assert_contract(query) -%}
    {#- Stop if a model with a contract has other columns than the contract declares. -#}
    {%- if config.get('contract').enforced -%}
        {%- do get_assert_columns_equivalent(query) -%}
    {%- endif -%}
{%- endmacro %}


{% macro spark__get_assert_columns_equivalent(sql) -%}
    {#- Only a change of the project's SQL can break a contract, and the check sends two statements
        for each model: `dbt build` and CI check it, monthly runs do not. -#}
    {%- if not env_var('CHURN_RUN_ID', '') -%}
        {{ default__get_assert_columns_equivalent(sql) }}
    {%- endif -%}
{%- endmacro %}
