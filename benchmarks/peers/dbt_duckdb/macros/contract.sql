{# The row rules as DuckDB's SQL, made from vars.source_contract and vars.row_rules. #}


{% macro standardised(column, contract) -%}
    {#- The cell as it is compared: without the white space around it, and in lowercase where the
        contract lists what it accepts. Much faster than trim() with a list of all white space. -#}
    {%- set blanks = '[\\s\\x0b\\x{85}\\p{Z}]+' -%}
    {%- set text = "regexp_replace(" ~ cell_of(column) ~ ", '^" ~ blanks ~ "|" ~ blanks ~ "$', '', 'g')"
    -%}
    {{ 'lower(' ~ text ~ ')' if contract[column].type in ('flag', 'category') else text }}
{%- endmacro %}


{% macro is_blank(column) -%}
    coalesce({{ text_of(column) }}, '') = ''
{%- endmacro %}


{% macro typed_value(column, contract) %}
    {#- The cell as silver holds it; null where the contract does not accept it. -#}
    {%- set rule = contract[column] -%}
    {%- set text = text_of(column) -%}
    {%- if rule.type == 'text' -%}
        nullif({{ text }}, '')
    {%- elif rule.type == 'flag' -%}
        case
            when {{ text }} in ({{ lowercase_list(rule.one) }}) then 1
            when {{ text }} in ({{ lowercase_list(rule.zero) }}) then 0
        end
    {%- elif rule.type == 'category' -%}
        case {{ text }}
            {%- for category in rule.categories %}
            when '{{ category | lower }}' then '{{ category }}'
            {%- endfor %}
        end
    {%- elif rule.type == 'integer' -%}
        case when {{ looks_like(text, whole_number()) }}
            then try_cast(try_cast({{ text }} as double) as int) end
    {%- elif rule.blank_is_zero_where -%}
        case
            when {{ is_blank(column) }}
                and {{ typed_value(rule.blank_is_zero_where, contract) }} = 0 then 0.0::double
            else {{ number(text) }}
        end
    {%- else -%}
        {{ number(text) }}
    {%- endif -%}
{% endmacro %}


{% macro number(text) -%}
    case when {{ looks_like(text, '^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?$') }}
        then try_cast({{ text }} as double) end
{%- endmacro %}


{% macro looks_like(text, pattern) -%}
    {#- A cast alone would take 'NaN' and 'Infinity' for numbers. -#}
    regexp_matches({{ text }}, '{{ pattern }}')
{%- endmacro %}


{% macro whole_number() -%}
    ^[+-]?[0-9]+([.]0*)?$
{%- endmacro %}


{% macro lowercase_list(values) -%}
    {%- for value in values %}'{{ value | lower }}'{{ ', ' if not loop.last }}{% endfor -%}
{%- endmacro %}


{% macro fault_of(column, contract) %}
    {#- The code of what is wrong with a cell, null where nothing is. -#}
    {%- set rule = contract[column] -%}
    {%- set refusal = {
        'flag': 'not_accepted',
        'category': 'not_accepted',
        'integer': 'not_an_integer',
        'number': 'not_a_number',
    } -%}
    case
        when {{ rule.silver }} is null and {{ is_blank(column) }} then 'missing'
        {%- if rule.type == 'integer' %}
        -- a whole number that no integer holds
        when {{ rule.silver }} is null and {{ looks_like(text_of(column), whole_number()) }}
            then 'out_of_range'
        {%- endif %}
        {%- if rule.type in refusal %}
        when {{ rule.silver }} is null then '{{ refusal[rule.type] }}'
        {%- endif %}
        {%- if rule.range %}
        when {{ rule.silver }} not between {{ rule.range[0] }} and {{ rule.range[1] }}
            then 'out_of_range'
        {%- endif %}
    end
{%- endmacro %}


{% macro row_rule_terms(contract) %}
    {#- A term for every cell that a row rule can find at fault: code, column, condition. -#}
    {%- set terms = [] -%}
    {%- for code, rule in var('row_rules').items() -%}
        {%- for column in rule.columns -%}
            {%- do terms.append({
                'code': code,
                'column': column,
                'condition': rule.holds | replace('{cell}', contract[column].silver),
            }) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(terms) }}
{% endmacro %}


{% macro fault_by(term) -%}
    {#- The code of a row rule's fault; null where the rule holds or can't be judged. -#}
    case when not ({{ term.condition }}) then '{{ term.code }}' end
{%- endmacro %}


{% macro silver_conditions(contract) %}
    {#- What holds for every row of silver: the contract and the row rules, on silver's columns. -#}
    {%- set conditions = [] -%}
    {%- for rule in contract.values() -%}
        {%- if rule.type == 'text' -%}
            {%- do conditions.append(rule.silver ~ " != ''") -%}
        {%- elif rule.type == 'flag' -%}
            {%- do conditions.append(rule.silver ~ ' in (0, 1)') -%}
        {%- elif rule.type == 'category' -%}
            {%- set accepted = "'" ~ rule.categories | join("', '") ~ "'" -%}
            {%- do conditions.append(rule.silver ~ ' in (' ~ accepted ~ ')') -%}
        {%- else -%}
            {%- do conditions.append(
                rule.silver ~ ' between ' ~ rule.range[0] ~ ' and ' ~ rule.range[1]
            ) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for term in row_rule_terms(contract) -%}
        {%- do conditions.append('(' ~ term.condition ~ ')') -%}
    {%- endfor -%}
    {{ return(conditions) }}
{% endmacro %}


{% macro reason(code, column, value=none) -%}
    struct_pack(
        code := {{ code }},
        column_name := '{{ column }}',
        value := {{ value or cell_of(column) }}
    )
{%- endmacro %}


{% macro cell_of(column) -%}
    {#- The workbook's cell is set apart: some bear the name that silver gives to the value. -#}
    {{ adapter.quote('cell of ' ~ column) }}
{%- endmacro %}


{% macro text_of(column) -%}
    {#- The standardised cell. -#}
    {{ adapter.quote('text of ' ~ column) }}
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
