{# How gold is written: a publish writes its files to a separate folder, and then one metastore call
   per partition makes that folder the partition. A reader sees the old files or the new ones, never
   a mixture and never none. Superseded files are removed after dbt has ended
   (lakehouse/published_files.py), so that running readers can finish. #}


{% materialization published_partitions, adapter='spark' %}

    {%- set relation = this.incorporate(type='table') -%}
    {%- set staged = this.incorporate(path={'identifier': this.identifier ~ '__staged'})
        .include(database=false, schema=false) -%}
    {%- set partition = config.require('partition_by') -%}

    {{ run_hooks(pre_hooks) }}

    {%- do get_assert_columns_equivalent(compiled_code) -%}
    {%- if load_relation(this) is none -%}
        {%- call statement('create') -%}
            {{ create_partitioned_table(relation, partition) }}
        {%- endcall -%}
    {%- endif -%}
    {%- call statement('stage') -%}
        {{ create_table_as(true, staged, compiled_code) }}
    {%- endcall -%}
    {%- do process_schema_changes('append_new_columns', staged, relation) -%}

    {%- set location = location_of(relation) -%}
    {%- set known = run_query('show partitions ' ~ relation).columns[0].values() -%}
    {%- set columns = adapter.get_columns_in_relation(relation)
        | map(attribute='quoted') | reject('equalto', adapter.quote(partition)) | join(', ') -%}
    {%- set values = run_query(
        'select distinct ' ~ partition ~ ' from ' ~ staged ~ ' order by 1'
    ).columns[0].values() -%}

    {%- for value in values %}
        {%- set folder = location ~ '/' ~ partition ~ '=' ~ value ~ '/' ~ invocation_id -%}
        {%- call statement('write') -%}
            insert overwrite directory '{{ dbt.escape_single_quotes(folder) }}' using parquet
            select {{ columns }} from {{ staged }} where {{ partition }} = '{{ value }}'
        {%- endcall -%}
        {%- call statement('switch') -%}
            {{ switch_partition(
                relation, partition, value, folder, partition ~ '=' ~ value in known
            ) }}
        {%- endcall -%}
    {%- endfor %}

    {%- call statement('main') -%}
        select '{{ values | length }} partitions published' as outcome
    {%- endcall -%}

    {%- do persist_docs(relation, model) -%}
    {{ run_hooks(post_hooks) }}

    {{ return({'relations': [relation]}) }}

{% endmaterialization %}


{% macro create_partitioned_table(relation, partition) -%}
    {#- Create an empty table with the columns of the model's contract, the partition's last. -#}
    create table {{ relation }} (
        {%- for column in model.columns.values() if column.name != partition %}
        {{ adapter.quote(column.name) }} {{ column.data_type }},
        {%- endfor %}
        {{ adapter.quote(partition) }} {{ model.columns[partition].data_type }}
    )
    using parquet
    partitioned by ({{ partition }})
{%- endmacro %}


{% macro switch_partition(relation, partition, value, folder, is_known) -%}
    {%- set folder = dbt.escape_single_quotes(folder) -%}
    {%- if is_known -%}
        alter table {{ relation }} partition ({{ partition }} = '{{ value }}')
        set location '{{ folder }}'
    {%- else -%}
        alter table {{ relation }} add partition ({{ partition }} = '{{ value }}')
        location '{{ folder }}'
    {%- endif -%}
{%- endmacro %}


{% macro location_of(relation) -%}
    {#- The table's folder. -#}
    {%- for row in run_query('describe table extended ' ~ relation).rows
        if row[0] == 'Location' -%}
        {{ return(row[1]) }}
    {%- endfor -%}
{%- endmacro %}
