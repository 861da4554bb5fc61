{% test same_keys(model, to, columns, of='all') %}
{#- Keys that only one of the two tables has. -#}

select
    {{ columns | join(', ') }},
    max(is_here) as is_here,
    max(is_there) as is_there

from (
    select {{ columns | join(', ') }}, 1 as is_here, 0 as is_there from {{ of_open_loads(model) if of == 'open_loads' else model }}

    union all

    select {{ columns | join(', ') }}, 0 as is_here, 1 as is_there from {{ of_open_loads(to) if of == 'open_loads' else to }}
)

group by {{ columns | join(', ') }}

having max(is_here) + max(is_there) < 2

{% endtest %}
