{% test one_row_per(model, columns) %}
{#- Rows that share the values of the key columns; nulls count as a value. -#}

select
    {{ columns | join(', ') }},
    count(*) as rows_of_key

from {{ model }}

group by {{ columns | join(', ') }}

having count(*) > 1

{% endtest %}
