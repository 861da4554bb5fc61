{# The row rules, generated from vars.source_contract and vars.row_rules: the only place that
   decides which row becomes a customer. #}


{% macro whitespace_chars() -%}
    {#- All white space of Unicode; the loader uses the same set. -#}
    ' \t\n\u000b\u000c\r\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009'
    '\u200a\u2028\u2029\u202f\u205f\u3000'
{%- endmacro %}


{% macro trimmed(cell) -%}
    btrim({{ cell }}, {{ whitespace_chars() }})
{%- endmacro %}


{% macro is_blank(cell) -%}
    coalesce({{ trimmed(cell) }}, '') = ''
{%- endmacro %}


{% macro typed_value(column, contract) %}
    {#- The typed value of a cell in silver; null if the contract does not accept it. Nearly every
        cell is spelled exactly as the contract says, so that is checked first: trimming takes
        longer than everything else that is done to a row. -#}
    {%- set rule = contract[column] -%}
    {%- set cell = adapter.quote(column) -%}
    {%- if rule.type == 'text' -%}
        nullif({{ trimmed(cell) }}, '')
    {%- elif rule.type == 'flag' -%}
        case
            when {{ cell }} in ({{ literals(rule.true_values) }}) then 1
            when {{ cell }} in ({{ literals(rule.false_values) }}) then 0
            when lower({{ trimmed(cell) }}) in ({{ literals(rule.true_values) | lower }}) then 1
            when lower({{ trimmed(cell) }}) in ({{ literals(rule.false_values) | lower }}) then 0
        end
    {%- elif rule.type == 'category' -%}
        case
            when {{ cell }} in ({{ literals(rule.categories) }}) then {{ cell }}
            {%- for category in rule.categories %}
            when lower({{ trimmed(cell) }}) = {{ text(category | lower) }} then {{ text(category) }}
            {%- endfor %}
            {%- if rule.blank_as %}
            when {{ is_blank(cell) }} then {{ text(rule.blank_as) }}
            {%- endif %}
        end
    {%- elif rule.type == 'integer' -%}
        {{ fill_blank(cell, 'try_cast(' ~ number(cell, whole_number()) ~ ' as int)', rule) }}
    {%- elif rule.type == 'days_since' -%}
        {{ fill_blank(cell, days_since(cell, rule.date_format), rule) }}
    {%- elif rule.zero_if_blank_when_zero -%}
        coalesce(
            {{ number(cell) }},
            case
                when {{ is_blank(cell) }}
                    and {{ typed_value(rule.zero_if_blank_when_zero, contract) }} = 0 then 0d
            end
        )
    {%- else -%}
        {{ fill_blank(cell, number(cell), rule) }}
    {%- endif -%}
{% endmacro %}


{% macro fill_blank(cell, value, rule) -%}
    {#- The value, or what the contract declares that a blank stands for. -#}
    {%- if rule.blank_as -%}
    case when {{ is_blank(cell) }} then {{ rule.blank_as }} else {{ value }} end
    {%- else -%}
    {{ value }}
    {%- endif -%}
{%- endmacro %}


{% macro days_since(cell, date_format) -%}
    {#- The days from a date to the extract date. A cast alone would accept '2024' as a date. -#}
    {%- set iso = '^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([ T][0-9:.]*)?$' -%}
    datediff(
        _extract_date,
        {% if date_format -%}
        coalesce(
            case when {{ trimmed_matches(cell, iso) }} then try_cast({{ trimmed(cell) }} as date) end,
            try_to_date({{ trimmed(cell) }}, {{ text(date_format) }})
        )
        {%- else -%}
        case when {{ trimmed_matches(cell, iso) }} then try_cast({{ trimmed(cell) }} as date) end
        {%- endif %}
    )
{%- endmacro %}


{% macro number(cell, pattern='^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?$') -%}
    {#- A cast alone would accept '12d', 'NaN' and 'Infinity' as numbers. -#}
    coalesce(
        case when {{ cell }} rlike '{{ pattern }}' then try_cast({{ cell }} as double) end,
        case when {{ trimmed_matches(cell, pattern) }} then try_cast({{ trimmed(cell) }} as double) end
    )
{%- endmacro %}


{% macro trimmed_matches(cell, pattern) -%}
    {{ trimmed(cell) }} rlike '{{ pattern }}'
{%- endmacro %}


{% macro matches(value, pattern) -%}
    {{ value }} rlike '{{ pattern | replace('\\', '\\\\') }}'
{%- endmacro %}


{% macro raw_cell(column) -%}
    {#- The workbook's cell, in a struct because some cells have the name of silver's value. -#}
    cells.{{ column }}
{%- endmacro %}


{% macro reject_reason(code, column, value=none) -%}
    named_struct(
        'code', {{ code }}, 'column_name', '{{ column }}', 'value', {{ value or raw_cell(column) }}
    )
{%- endmacro %}


{% macro value_in_words(rule) -%}
    {#- A column of the workbook from its features in gold: flags and categories as words. -#}
    {%- if rule.type == 'flag' -%}
        if(customers.{{ rule.name }} = 1, {{ text(rule.true_values | first) }}, {{ text(rule.false_values | first) }})
    {%- elif rule.type == 'category' -%}
        case
            {%- for category in rule.categories %}
            when customers.{{ rule.name }}_{{ snake_case(category) }} = 1 then {{ text(category) }}
            {%- endfor %}
        end
    {%- else -%}
        customers.{{ rule.name }}
    {%- endif -%}
{%- endmacro %}


{% macro rules_version() %}
    {#- Changes with the row rules and the gate's rules; a refused load is then evaluated again. -#}
    {%- set names = [
        'source_contract', 'row_rules', 'derived_features', 'gate_metrics', 'gate_rules', 'drift',
        'expected_changes',
    ] -%}
    {%- set rules = [] -%}
    {%- for name in names -%}
        {%- do rules.append(var(name)) -%}
    {%- endfor -%}
    {{ return(local_md5(tojson(rules, sort_keys=true))) }}
{% endmacro %}
