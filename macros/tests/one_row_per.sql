{% test one_row_per(model, columns, complete=none, after=none, of=none) %}
{#- Values of the key columns that more than one row has; nulls count as a value.
    `complete` names columns that must hold no null, `all` means every column: keys of rows with
    a gap are failures too. Both in one scan: every test is a statement on the server.
    `of: open_loads` looks at the extracts alone that the build is about. -#}
{{ '/* after ' ~ after ~ ' */' if after }}
{%- set filled = complete or [] -%}
{%- if complete == 'all' -%}
    {%- set filled = adapter.get_columns_in_relation(model) | map(attribute='name') | list
        if execute else [] -%}
{%- endif -%}

select
    {{ columns | join(', ') }},
    count(*) as rows_of_key,
    count_if({{ (filled | join(' is null or ') ~ ' is null') if filled else 'false' }})
        as rows_with_a_gap

from {{ tested_rows(model, of) }}

group by {{ columns | join(', ') }}

having rows_of_key > 1 or rows_with_a_gap > 0

{% endtest %}
