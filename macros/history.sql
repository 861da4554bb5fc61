{# What earlier builds left, for models upstream of those that keep it. A `ref` would be a circle:
   whether a load is open depends on what was cleaned, judged and published before. #}


{% macro cleaned_before() -%}
    {{ earlier('silver', 'load_counts', {'batch_id': 'string', 'rules_version': 'string'}) }}
{%- endmacro %}


{% macro judged_before() -%}
    {{ earlier('audit', 'gate_results', {
        'batch_id': 'string',
        'severity': 'string',
        'verdict': 'string',
        'rules_version': 'string',
        'judged_at': 'timestamp',
    }) }}
{%- endmacro %}


{% macro published_before() -%}
    {{ earlier('gold', 'publications', {
        'batch_id': 'string',
        'extract_date': 'date',
        'published_at': 'timestamp',
    }) }}
{%- endmacro %}


{% macro in_gold_before() -%}
    {#- The load that gold holds of a date; of a restated one that which was published last. -#}
    (
        select
            extract_date,
            max_by(batch_id, published_at) as batch_id
        from {{ published_before() }}
        group by extract_date
    )
{%- endmacro %}


{% macro published_customers_before() -%}
    {#- Who was in which published extract; `customer_id` and `extract_date` of every label. -#}
    {{ earlier('gold', 'churn_labels', {'customer_id': 'string', 'extract_date': 'date'}) }}
{%- endmacro %}


{% macro earlier(schema, identifier, columns) %}
    {#- The table as it stands, or no rows of its shape where no build has made it yet. -#}
    {%- set relation = adapter.get_relation(target.database, schema, identifier)
        if execute else none -%}
    {%- if relation is not none -%}
        {{ relation }}
    {%- else -%}
        (
            select
                {%- for name, type in columns.items() %}
                cast(null as {{ type }}) as {{ name }}{{ ',' if not loop.last }}
                {%- endfor %}
            where false
        )
    {%- endif -%}
{% endmacro %}
