{% macro campaign_records(table) -%}
    {#- A table of `churn campaign`, or an empty relation with its columns before the first one. -#}
    {%- do source('campaigns', table) -%}
    {%- set columns = {'campaign': 'string'} -%}
    {%- if execute -%}
        {%- set declared = graph.sources['source.telco_churn.campaigns.' ~ table] -%}
        {%- for column in declared.columns.values() -%}
            {%- do columns.update({column.name: column.data_type}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ previous_state_of('bronze', table, columns) }}
{%- endmacro %}
