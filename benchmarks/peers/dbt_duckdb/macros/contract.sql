{# The source contract in DuckDB's SQL; macros/rules contains the SQL that all engines share. #}


{% macro trimmed(cell) -%}
    {#- Much faster than trim() with a list of all white space. -#}
    {%- set blanks = '[\\s\\x0b\\x{85}\\p{Z}]+' -%}
    regexp_replace({{ cell }}, '^{{ blanks }}|{{ blanks }}$', '', 'g')
{%- endmacro %}


{% macro standardised(column, contract) -%}
    {#- The cell for comparison: trimmed, and in lowercase if the contract lists accepted values. -#}
    {%- set text = trimmed(cell_of(column)) -%}
    {{ 'lower(' ~ text ~ ')' if contract[column].type in ('flag', 'category') else text }}
{%- endmacro %}


{% macro is_blank(cell) -%}
    coalesce({{ trimmed(cell) }}, '') = ''
{%- endmacro %}


{% macro looks_like(cell, pattern) -%}
    regexp_matches({{ trimmed(cell) }}, '{{ pattern }}')
{%- endmacro %}


{% macro matches(value, pattern) -%}
    regexp_matches({{ value }}, '{{ pattern }}')
{%- endmacro %}


{% macro typed_value(column, contract) %}
    {#- The typed value of a cell in silver; null if the contract does not accept it. -#}
    {%- set rule = contract[column] -%}
    {%- set text = text_of(column) -%}
    {%- if rule.type == 'text' -%}
        nullif({{ text }}, '')
    {%- elif rule.type == 'flag' -%}
        case
            when {{ text }} in ({{ literals(rule.one) | lower }}) then 1
            when {{ text }} in ({{ literals(rule.zero) | lower }}) then 0
        end
    {%- elif rule.type == 'category' -%}
        case {{ text }}
            {%- for category in rule.categories %}
            when '{{ category | lower }}' then '{{ category }}'
            {%- endfor %}
        end
    {%- elif rule.type == 'integer' -%}
        try_cast({{ number(text, whole_number()) }} as int)
    {%- elif rule.blank_is_zero_where -%}
        case
            when coalesce({{ text }}, '') = ''
                and {{ typed_value(rule.blank_is_zero_where, contract) }} = 0 then 0.0::double
            else {{ number(text) }}
        end
    {%- else -%}
        {{ number(text) }}
    {%- endif -%}
{% endmacro %}


{% macro number(text, pattern='^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?$') -%}
    {#- A cast alone would accept 'NaN' and 'Infinity' as numbers. -#}
    case when regexp_matches({{ text }}, '{{ pattern }}') then try_cast({{ text }} as double) end
{%- endmacro %}


{% macro reason(code, column, value=none) -%}
    struct_pack(
        code := {{ code }},
        column_name := '{{ column }}',
        value := {{ value or cell_of(column) }}
    )
{%- endmacro %}


{% macro cell_of(column) -%}
    {#- The workbook's cell has a separate name: some cells have the name of silver's value. -#}
    {{ adapter.quote('cell of ' ~ column) }}
{%- endmacro %}


{% macro text_of(column) -%}
    {#- The standardised cell. -#}
    {{ adapter.quote('text of ' ~ column) }}
{%- endmacro %}
