{% test expressions_are_true(model, expressions) %}
{#- Rows for which an expression is not true (null is not true), with the first such expression;
    many rules in one scan. -#}

select
    case
        {%- for expression in expressions %}
        when ({{ expression }}) is not true then '{{ dbt.escape_single_quotes(expression) }}'
        {%- endfor %}
    end as broken,
    checked.*

from {{ model }} as checked

where
    {%- for expression in expressions %}
    {{ 'or ' if not loop.first }}({{ expression }}) is not true
    {%- endfor %}

{% endtest %}
