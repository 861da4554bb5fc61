{% macro tested_rows(table, of) -%}
    {#- The rows to test: the whole table or, for a table that keeps every extract, the extracts of
        this build (`of: open_loads`), so that the cost depends on new data and not on accumulated
        data. `--vars 'tested: everything'` tests all rows in any case. open_loads is named without
        a ref: every such table was built from it, and a test with a second parent would not be part
        of its model's task. -#}
    {%- if of == 'open_loads' and var('tested') != 'everything' -%}
        (select * from {{ table }} where {{ has_date_of('silver.open_loads') }})
    {%- else -%}
        {{ table }}
    {%- endif -%}
{%- endmacro %}
