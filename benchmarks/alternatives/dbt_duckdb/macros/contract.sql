{# The source contract in DuckDB's SQL; macros/rules contains the SQL that all engines share. #}


{% macro trimmed(cell) -%}
    {#- Much faster than trim() with a list of all white space. -#}
    {%- set blanks = '[\\s\\x0b\\x{85}\\p{Z}]+' -%}
    regexp_replace({{ cell }}, '^{{ blanks }}|{{ blanks }}$', '', 'g')
{%- endmacro %}


{% macro standardised(column, contract) -%}
    {#- The cell for comparison: trimmed, and in lowercase if the contract lists accepted values. -#}
    {%- set text = trimmed(raw_cell(column)) -%}
    {{ 'lower(' ~ text ~ ')' if contract[column].type in ('flag', 'category') else text }}
{%- endmacro %}


{% macro is_blank(cell) -%}
    coalesce({{ trimmed(cell) }}, '') = ''
{%- endmacro %}


{% macro trimmed_matches(cell, pattern) -%}
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
            when {{ text }} in ({{ literals(rule.true_values) | lower }}) then 1
            when {{ text }} in ({{ literals(rule.false_values) | lower }}) then 0
        end
    {%- elif rule.type == 'category' -%}
        case {{ text }}
            {%- for category in rule.categories %}
            when '{{ category | lower }}' then '{{ category }}'
            {%- endfor %}
        end
    {%- elif rule.type == 'integer' -%}
        try_cast({{ number(text, whole_number()) }} as int)
    {%- elif rule.zero_if_blank_when_zero -%}
        case
            when coalesce({{ text }}, '') = ''
                and {{ typed_value(rule.zero_if_blank_when_zero, contract) }} = 0 then 0.0::double
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


{% macro reject_reason(code, column, value=none) -%}
    struct_pack(
        code := {{ code }},
        column_name := '{{ column }}',
        value := {{ value or raw_cell(column) }}
    )
{%- endmacro %}


{% macro raw_cell(column) -%}
    {#- The workbook's cell has a separate name: some cells have the name of silver's value. -#}
    {{ adapter.quote('cell of ' ~ column) }}
{%- endmacro %}


{% macro text_of(column) -%}
    {#- The standardised cell. -#}
    {{ adapter.quote('text of ' ~ column) }}
{%- endmacro %}
