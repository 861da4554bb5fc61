{% test same_keys(model, to, columns, of=none) %}
{#- Keys that only one of the two tables has. -#}

select
    {{ columns | join(', ') }},
    max(is_here) as is_here,
    max(is_there) as is_there

from (
    select {{ columns | join(', ') }}, 1 as is_here, 0 as is_there from {{ tested_rows(model, of) }}

    union all

    select {{ columns | join(', ') }}, 0 as is_here, 1 as is_there from {{ tested_rows(to, of) }}
)

group by {{ columns | join(', ') }}

having max(is_here) + max(is_there) < 2

{% endtest %}
