{% test one_hot_groups_sum_to_one(model) %}
{#- Rows that are not in exactly one declared category of every categorical column; all groups in
    one scan. -#}
{%- set groups = one_hot_columns(var('source_contract')) | groupby('group') -%}

select *

from {{ model }}

where
    {%- for group, columns in groups %}
    {{ 'or ' if not loop.first -}}
    coalesce({{ columns | map(attribute='name') | join(' + ') }}, 0) != 1
    {%- endfor %}

{% endtest %}
