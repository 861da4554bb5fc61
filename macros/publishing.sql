{# How gold is written: a publish writes its files to a separate folder, and then one metastore call
   per partition makes that folder the partition. A reader sees the old files or the new ones, never
   a mixture and never none. Superseded files are removed after dbt has ended
   (lakehouse/published_files.py), so that running readers can finish. #}


{% materialization published_partitions, adapter='spark' %}

    {%- set relation = this.incorporate(type='table') -%}
    {%- set partition = config.require('partition_by') -%}

    {{ run_hooks(pre_hooks) }}

    {%- do assert_contract(compiled_code) -%}
    {%- set existing = load_relation(this) -%}
    {%- if existing is none -%}
        {%- call statement('create') -%}
            {{ create_partitioned_table(relation, partition) }}
        {%- endcall -%}
    {%- endif -%}

    {%- set location, columns = read_location_and_columns(relation, existing) -%}
    {%- for column in model.columns.values() if column.name not in columns -%}
        {%- do run_query(
            'alter table ' ~ relation ~ ' add columns (' ~ column.name ~ ' ' ~ column.data_type ~ ')'
        ) -%}
    {%- endfor -%}
    {%- set known = run_query('show partitions ' ~ relation).columns[0].values() -%}
    {%- set values = run_query(
        'select distinct ' ~ partition ~ ' from (' ~ compiled_code ~ ') order by 1'
    ).columns[0].values() -%}

    {%- for value in values %}
        {%- set folder = location ~ '/' ~ partition ~ '=' ~ value ~ '/' ~ invocation_id -%}
        {%- call statement('write') -%}
            insert overwrite directory '{{ dbt.escape_single_quotes(folder) }}' using parquet
            select
                {%- for column in model.columns.values() if column.name != partition %}
                {{ adapter.quote(column.name) }}{{ ',' if not loop.last }}
                {%- endfor %}
            from ({{ compiled_code }})
            where {{ partition }} = '{{ value }}'
        {%- endcall -%}
        {%- call statement('switch') -%}
            {{ switch_partition(
                relation, partition, value, folder, partition ~ '=' ~ value in known
            ) }}
        {%- endcall -%}
    {%- endfor %}

    {%- call noop_statement('main', values | length ~ ' partitions published') -%}{%- endcall -%}

    {{ run_hooks(post_hooks) }}

    {{ return({'relations': [relation]}) }}

{% endmaterialization %}


{% macro read_location_and_columns(relation, existing) -%}
    {#- From the description that dbt has cached when it started; of a new table, from the server. -#}
    {%- if existing is none -%}
        {%- set described = run_query('describe table extended ' ~ relation).rows -%}
        {{ return((
            described | selectattr(0, 'equalto', 'Location') | map(attribute=1) | first,
            described | map(attribute=0) | list,
        )) }}
    {%- endif -%}
    {{ return((
        location_of(existing),
        modules.re.findall('[|]-- (\\w+): ', existing.information),
    )) }}
{%- endmacro %}


{% macro location_of(relation) -%}
    {#- The location of a table that dbt has cached. -#}
    {{ return(modules.re.search('(?m)^Location: (.*)$', relation.information).group(1)) }}
{%- endmacro %}


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
