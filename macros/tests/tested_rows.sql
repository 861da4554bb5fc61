{% macro tested_rows(table, of) -%}
    {#- The rows that a test looks at: all of the table or, of a table that keeps every extract, those
        that the build is about (`of: open_loads`), so that its cost grows with what is new and not
        with what has piled up. `--vars 'tested: everything'` looks at all of it even so.
        Named without a ref: every such table was built from it, and with a second parent the test
        would be no part of its model's task. -#}
    {%- if of == 'open_loads' and var('tested') != 'everything' -%}
        (select * from {{ table }} where {{ has_date_of('silver.open_loads') }})
    {%- else -%}
        {{ table }}
    {%- endif -%}
{%- endmacro %}
