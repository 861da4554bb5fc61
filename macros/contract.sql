{# The row rules, made from vars.source_contract. One place decides what a cell may hold. #}


{% macro trimmed(column) -%}
    btrim({{ adapter.quote(column) }}, ' \t\n\r\u000c\u00a0')
{%- endmacro %}


{% macro is_blank(column) -%}
    coalesce({{ trimmed(column) }}, '') = ''
{%- endmacro %}


{% macro typed_value(column, contract) %}
    {#- The cell as silver holds it; null where the contract does not accept it. -#}
    {%- set rule = contract[column] -%}
    {%- if rule.type == 'text' -%}
        nullif({{ trimmed(column) }}, '')
    {%- elif rule.type == 'flag' -%}
        case
            when lower({{ trimmed(column) }}) in ({{ lowercase_list(rule.one) }}) then 1
            when lower({{ trimmed(column) }}) in ({{ lowercase_list(rule.zero) }}) then 0
        end
    {%- elif rule.type == 'category' -%}
        case lower({{ trimmed(column) }})
            {%- for category in rule.categories %}
            when '{{ category | lower }}' then '{{ category }}'
            {%- endfor %}
        end
    {%- elif rule.type == 'integer' -%}
        case when {{ looks_like(column, '^[+-]?[0-9]+([.]0*)?$') }}
            then try_cast(try_cast({{ trimmed(column) }} as double) as int) end
    {%- elif rule.blank_is_zero_where -%}
        case
            when {{ is_blank(column) }}
                and {{ typed_value(rule.blank_is_zero_where, contract) }} = 0 then 0d
            else {{ number(column) }}
        end
    {%- else -%}
        {{ number(column) }}
    {%- endif -%}
{% endmacro %}


{% macro number(column) -%}
    case when {{ looks_like(column, '^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?$') }}
        then try_cast({{ trimmed(column) }} as double) end
{%- endmacro %}


{% macro looks_like(column, pattern) -%}
    {#- A cast alone would take '12d', 'NaN' and 'Infinity' for numbers. -#}
    {{ trimmed(column) }} rlike '{{ pattern }}'
{%- endmacro %}


{% macro lowercase_list(values) -%}
    {%- for value in values %}'{{ value | lower }}'{{ ', ' if not loop.last }}{% endfor -%}
{%- endmacro %}


{% macro fault_of(column, contract) %}
    {#- The code of what is wrong with a cell, null where nothing is. `typed_…` is the cell as
        silver holds it, which a CTE above has computed; the bare name would be the workbook's. -#}
    {%- set rule = contract[column] -%}
    {%- set refusal = {
        'flag': 'not_accepted',
        'category': 'not_accepted',
        'integer': 'not_an_integer',
        'number': 'not_a_number',
    } -%}
    case
        when typed_{{ rule.silver }} is null and {{ is_blank(column) }} then 'missing'
        {%- if rule.type in refusal %}
        when typed_{{ rule.silver }} is null then '{{ refusal[rule.type] }}'
        {%- endif %}
        {%- if rule.range %}
        when typed_{{ rule.silver }} not between {{ rule.range[0] }} and {{ rule.range[1] }}
            then 'out_of_range'
        {%- endif %}
    end
{%- endmacro %}


{% macro reason(code, column, value) -%}
    named_struct(
        'code', {{ code }}, 'column_name', '{{ column }}', 'value', {{ value }}
    )
{%- endmacro %}


{% macro one_hot_columns(contract) %}
    {#- Pairs of one-hot column and the condition it stands for, over the declared categories. -#}
    {%- set columns = [] -%}
    {%- for rule in contract.values() if rule.type == 'category' -%}
        {%- for category in rule.categories -%}
            {%- do columns.append({
                'group': rule.silver,
                'name': rule.silver ~ '_' ~ snake_case(category),
                'condition': rule.silver ~ " = '" ~ category ~ "'",
            }) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(columns) }}
{% endmacro %}


{% macro snake_case(text) -%}
    {{ modules.re.sub('[^a-z0-9]+', '_', text | lower).strip('_') }}
{%- endmacro %}


{% macro rules_version() %}
    {#- Changes with the row rules and the gate's rules; a refused load is judged again then. -#}
    {{ return(local_md5(tojson([var('source_contract'), var('gate_rules')], sort_keys=true))) }}
{% endmacro %}
