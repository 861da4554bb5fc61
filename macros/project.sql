{# Overrides of dbt's defaults. #}


{% macro generate_schema_name(custom_schema_name, node) -%}
    {#- The layers are the schemas, without the target's schema as a prefix. -#}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}


{% macro stop_at_another_lake() %}
    {#- Otherwise a server with other settings would receive this checkout's writes. -#}
    {%- if execute -%}
        {#- Resolved by lakehouse/settings.py; the plugin dbt_credentials.py passes it on. -#}
        {%- set wanted = env_var('CHURN_LAKE_URI') -%}
        {%- set answer = run_query('set spark.sql.warehouse.dir') -%}
        {%- set served = answer.rows[0][1] | replace('file:', '') -%}
        {%- if served.rstrip('/') != wanted.rstrip('/') -%}
            {{ exceptions.raise_compiler_error(
                'The server on port ' ~ target.port ~ ' serves the lake ' ~ served
                ~ '; the settings of this checkout say ' ~ wanted
                ~ '. Set CHURN_HOME, CHURN_LAKE_URI and CHURN_THRIFT_PORT as they were when the '
                ~ 'server was started, or start one for this checkout with `churn up`.'
            ) }}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}


{% macro get_insert_overwrite_sql(source_relation, target_relation, existing_relation) %}
    {#- Replace the dates of the loads to clean in one commit, also with no rows; a dynamic
        overwrite would not clear a date that has become empty. -#}
    {%- set columns = adapter.get_columns_in_relation(target_relation)
        | map(attribute='quoted') | join(', ') -%}
    {%- set dates = run_query(
        'select distinct extract_date from ' ~ ref('open_loads') ~ ' where to_clean'
    ).columns[0].values() -%}
    {%- if dates -%}
        insert into {{ target_relation }}
        replace where extract_date in (
            {%- for date in dates %}date '{{ date }}'{{ ', ' if not loop.last }}{% endfor -%}
        )
        select {{ columns }} from {{ source_relation }}
    {%- else -%}
        select 'no load to clean' as nothing_to_do
    {%- endif -%}
{% endmacro %}
