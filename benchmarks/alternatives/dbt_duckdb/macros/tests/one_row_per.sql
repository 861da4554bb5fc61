{% test one_row_per(model, columns, complete=none, also_in=none) %}
{#- Key values that more than one row has; nulls count as a value.
    `complete` names columns without nulls, and `all` means every column: keys of rows with a null
    there are failures too. `also_in` is another table that must have one row per key as well.
    One scan does all of it, because every test is a statement on the server. -#}

select
    {{ columns | join(', ') }},
    count_if(is_here) as rows_of_key,
    count_if(not is_here) as rows_elsewhere,
    count_if(has_gap) as rows_with_a_gap

from (
    select {{ columns | join(', ') }}, true as is_here, {{ has_gap(model, complete) }} as has_gap
    from {{ model }}
    {%- if also_in %}

    union all

    select {{ columns | join(', ') }}, false as is_here, false as has_gap
    from {{ also_in }}
    {%- endif %}
)

group by {{ columns | join(', ') }}

having rows_of_key != 1 or rows_with_a_gap > 0{{ ' or rows_elsewhere != 1' if also_in }}

{% endtest %}
