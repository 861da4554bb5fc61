{% macro generate_schema_name(custom_schema_name, node) -%}
    {#- The layers are the schemas, without the target's schema as a prefix. -#}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}


{% materialization published_partitions, adapter='duckdb' %}
    {#- Parquet files, one folder per extract date, and a view over them. Unlike `external` it writes
        no second table first, and no row of nulls if no load has passed. -#}
    {%- set target_relation = this.incorporate(type='view') -%}
    {%- set folder = var('out') ~ '/gold/' ~ this.identifier -%}
    {%- set files = folder ~ '/*/*.parquet' -%}
    {{ run_hooks(pre_hooks) }}
    {%- call statement('publish') -%}
        copy ({{ compiled_code }}) to '{{ folder }}' (format parquet, partition_by (extract_date))
    {%- endcall -%}
    {%- set published = run_query("select count(*) from glob('" ~ files ~ "')").columns[0][0] -%}
    {%- call statement('main') -%}
        create or replace view {{ target_relation }} as
        {%- if published %}
        select * from read_parquet('{{ files }}', hive_partitioning = true)
        {%- else %}
        {{ compiled_code }}
        {%- endif %}
    {%- endcall -%}
    {{ run_hooks(post_hooks) }}
    {%- do adapter.commit() -%}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
