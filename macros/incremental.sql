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
    {%- else -%}
        {%- set key = config.get('unique_key') -%}
        {%- set keys = keys_to_replace(key) if strategy == 'replace_where' else [] -%}
        {%- if strategy == 'replace_where' and not keys -%}
            {%- call noop_statement('main', 'no load to write') -%}{%- endcall -%}
        {%- else -%}
            {%- do assert_contract(compiled_code) -%}
            {%- call statement('main') -%}
                {%- if strategy == 'merge' -%}
                    {{ merge_rows(relation, compiled_code, key) }}
                {%- else -%}
                    {{ insert_rows(relation, compiled_code, key, keys) }}
                {%- endif -%}
            {%- endcall -%}
        {%- endif -%}
    {%- endif -%}

    {{ run_hooks(post_hooks) }}

    {{ return({'relations': [relation]}) }}

{% endmaterialization %}


{% macro keys_to_replace(key) -%}
    {#- The values of the key whose rows this build replaces: the extract dates (`extract_date`) or the
        ids (`batch_id`) of the loads to clean; of all pending loads from the candidates on. The list
        is named without a ref: some of these models depend on it through others. -#}
    {%- set scope = ' where to_clean' if model.config.meta.stage == 'clean' else '' -%}
    {{ return(
        run_query('select distinct ' ~ key ~ ' from silver.pending_loads' ~ scope)
        .columns[0].values()
    ) }}
{%- endmacro %}


{% macro insert_rows(relation, query, key, keys) -%}
    {#- Add the rows of the query, in one commit with the removal of all rows that have one of the
        keys; a key of which the query has no row is removed too. -#}
    insert with schema evolution into {{ relation }} by name
    {%- if keys %}
    replace where {{ key }} in (
        {%- for value in keys %}'{{ value }}'{{ ', ' if not loop.last }}{% endfor -%}
    )
    {%- endif %}
    {{ query }}
{%- endmacro %}


{% macro merge_rows(relation, query, key) -%}
    {#- Replace the rows with the keys of the query's rows, and add the others. -#}
    merge with schema evolution into {{ relation }} as existing
    using ({{ query }}) as built
    on existing.{{ key }} = built.{{ key }}
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
