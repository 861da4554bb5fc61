{% macro of_open_loads(table) -%}
    {#- What the build is about, of a table that keeps all extracts: what a test looks at grows with
        what is new, not with what has piled up. `--vars 'tested: everything'` looks at all of it.
        Named without a ref: every such table was built from it, and with a second parent the test
        would be no part of its model's task. -#}
    {%- if var('tested') == 'everything' -%}
        {{ table }}
    {%- else -%}
        (select * from {{ table }} where {{ has_date_of('silver.open_loads') }})
    {%- endif -%}
{%- endmacro %}
