{# Overrides of dbt's defaults. #}


{% macro generate_schema_name(custom_schema_name, node) -%}
    {#- The layers are the schemas, without the target's schema as a prefix. -#}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}


{% macro run_id() -%}
    {#- The run that calls dbt, otherwise the dbt command. It is not read while dbt parses, because
        dbt parses every model again whose variables have changed. -#}
    {{ (env_var('CHURN_RUN_ID', '') if execute else '') or invocation_id }}
{%- endmacro %}


{% macro assert_server_matches_settings() %}
    {#- Otherwise a server with other settings would receive this checkout's writes. -#}
    {%- if execute -%}
        {#- Resolved by lakehouse/settings.py; the plugin dbt_credentials.py passes it on. -#}
        {%- set wanted = env_var('CHURN_LAKE_URI') -%}
        {%- set known = adapter.get_relation(target.database, 'silver', 'load_counts') -%}
        {%- if known is none -%}
            {%- set served = run_query('set spark.sql.warehouse.dir').rows[0][1] -%}
        {%- else -%}
            {%- set served = location_of(known) | replace('/silver/load_counts', '') -%}
        {%- endif -%}
        {%- set served = served | replace('file:', '') -%}
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


{% macro spark__get_limit_sql(sql, limit) %}
    {#- `dbt show` appends the limit: not after a semicolon. -#}
    {{ modules.re.sub(';\\s*$', '', sql) }}
    {%- if limit is not none %}
    limit {{ limit }}
    {%- endif %}
{% endmacro %}
