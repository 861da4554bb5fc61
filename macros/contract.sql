{# The row rules, made from vars.source_contract and vars.row_rules. One place decides which row
   becomes a customer. #}


{% macro blanks() -%}
    {#- All white space of Unicode, as the loader knows it too. -#}
    ' \t\n\u000b\u000c\r\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009'
    '\u200a\u2028\u2029\u202f\u205f\u3000'
{%- endmacro %}


{% macro trimmed(cell) -%}
    btrim({{ cell }}, {{ blanks() }})
{%- endmacro %}


{% macro is_blank(cell) -%}
    coalesce({{ trimmed(cell) }}, '') = ''
{%- endmacro %}


{% macro typed_value(column, contract) %}
    {#- The cell as silver holds it; null where the contract does not accept it. Nearly every cell is
        written just as the contract says, and that is asked first: trimming takes longer than all
        else that is done to a row. -#}
    {%- set rule = contract[column] -%}
    {%- set cell = adapter.quote(column) -%}
    {%- if rule.type == 'text' -%}
        nullif({{ trimmed(cell) }}, '')
    {%- elif rule.type == 'flag' -%}
        case
            when {{ cell }} in ({{ literals(rule.one) }}) then 1
            when {{ cell }} in ({{ literals(rule.zero) }}) then 0
            when lower({{ trimmed(cell) }}) in ({{ literals(rule.one) | lower }}) then 1
            when lower({{ trimmed(cell) }}) in ({{ literals(rule.zero) | lower }}) then 0
        end
    {%- elif rule.type == 'category' -%}
        case
            when {{ cell }} in ({{ literals(rule.categories) }}) then {{ cell }}
            {%- for category in rule.categories %}
            when lower({{ trimmed(cell) }}) = '{{ category | lower }}' then '{{ category }}'
            {%- endfor %}
        end
    {%- elif rule.type == 'integer' -%}
        try_cast({{ number(cell, whole_number()) }} as int)
    {%- elif rule.blank_is_zero_where -%}
        coalesce(
            {{ number(cell) }},
            case
                when {{ is_blank(cell) }}
                    and {{ typed_value(rule.blank_is_zero_where, contract) }} = 0 then 0d
            end
        )
    {%- else -%}
        {{ number(cell) }}
    {%- endif -%}
{% endmacro %}


{% macro number(cell, pattern='^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?$') -%}
    {#- A cast alone would take '12d', 'NaN' and 'Infinity' for numbers. -#}
    coalesce(
        case when {{ cell }} rlike '{{ pattern }}' then try_cast({{ cell }} as double) end,
        case when {{ looks_like(cell, pattern) }} then try_cast({{ trimmed(cell) }} as double) end
    )
{%- endmacro %}


{% macro looks_like(cell, pattern) -%}
    {{ trimmed(cell) }} rlike '{{ pattern }}'
{%- endmacro %}


{% macro whole_number() -%}
    ^[+-]?[0-9]+([.]0*)?$
{%- endmacro %}


{% macro literals(values) -%}
    {%- for value in values %}'{{ value }}'{{ ', ' if not loop.last }}{% endfor -%}
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
        when {{ rule.silver }} is null and {{ is_blank('cells.' ~ column) }} then 'missing'
        {%- if rule.type == 'integer' %}
        -- a whole number that no integer holds
        when {{ rule.silver }} is null and {{ looks_like('cells.' ~ column, whole_number()) }}
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
    named_struct(
        'code', {{ code }}, 'column_name', '{{ column }}', 'value', {{ value or 'cells.' ~ column }}
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
    {#- Changes with the rules of rows and of the gate; a refused load is judged again then. -#}
    {%- set names = ['source_contract', 'row_rules', 'gate_rules', 'drift', 'expected_changes'] -%}
    {%- set rules = [] -%}
    {%- for name in names -%}
        {%- do rules.append(var(name)) -%}
    {%- endfor -%}
    {{ return(local_md5(tojson(rules, sort_keys=true))) }}
{% endmacro %}
