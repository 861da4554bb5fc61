{% macro violations(model, key, complete=none, rules=[], pending=none) %}
{#- The keys of a model that break a rule: the table, the key, the first rule that it breaks, and the
    number of its rows. One scan checks all of it, because every test is a statement on the server.
    A key with several rows breaks the rule `one row per key`; nulls count as a value.
    `complete` names columns without nulls; `all` means every column that the YAML describes.
    `rules` are further conditions, each with its name before it; null is not true.
    `pending` is the column (batch_id, _batch_id or extract_date) by which only the rows of pending
    loads are checked, so that the cost depends on new data and not on accumulated data. -#}
{%- set table = ref(model) -%}
{%- set node = (graph.nodes if execute else {}).get('model.telco_churn.' ~ model, {}) -%}
{%- set required = node.get('columns', {}) if complete == 'all' else complete or [] -%}
{%- set checks = [] -%}
{%- for column in required -%}
    {%- do checks.append([column ~ ' is not null', column ~ ' is not null']) -%}
{%- endfor -%}
{%- set checks = checks + rules -%}
select
    '{{ node.get("schema") }}.{{ node.get("alias") }}' as tested_table,
    concat_ws(', ', {{ key | join(', ') }}) as row_key,
    case
        when count(*) > 1 then 'one row per key'
        {%- for check in checks %}
        when min(broken_rule) = {{ loop.index }} then '{{ check[0] }}'
        {%- endfor %}
    end as rule,
    count(*) as rows_of_key

from (
    select
        {{ key | join(', ') }},
        -- a number: Spark sorts all rows to aggregate texts
        {% if checks -%}
        case
            {%- for check in checks %}
            when ({{ check[1] }}) is not true then {{ loop.index }}
            {%- endfor %}
        end as broken_rule
        {%- else -%}
        cast(null as int) as broken_rule
        {%- endif %}

    from {{ table }}
    {%- if pending and var('test_scope') != 'all' %}

    where {{ is_pending(pending) }}
    {%- endif %}
)

group by {{ key | join(', ') }}

having count(*) > 1 or min(broken_rule) is not null
{%- endmacro %}


{% macro is_pending(column) -%}
    {#- Whether a row belongs to a pending load, by its date or by its load. -#}
    {%- if column == 'extract_date' -%}
        array_contains((select extract_dates from {{ ref('pending_dates') }}), extract_date)
    {%- else -%}
        {{ column }} in (select pending.batch_id from {{ ref('pending_loads') }} as pending)
    {%- endif -%}
{%- endmacro %}
