{# The declared rules of rows, in SQL that any engine understands. Each engine defines how a cell is
   read: raw_cell, is_blank, trimmed_matches and matches. #}


{% macro whole_number() -%}
    ^[+-]?[0-9]+([.]0*)?$
{%- endmacro %}


{% macro text(value) -%}
    {#- A text as an SQL literal. -#}
    '{{ value | string | replace("'", "''") }}'
{%- endmacro %}


{% macro literals(values) -%}
    {%- for value in values %}{{ text(value) }}{{ ', ' if not loop.last }}{% endfor -%}
{%- endmacro %}


{% macro cell_error_code(column, contract) %}
    {#- The error code of a cell; null if it is valid. -#}
    {%- set rule = contract[column] -%}
    {%- set refusal = {
        'flag': 'not_accepted',
        'category': 'not_accepted',
        'integer': 'not_an_integer',
        'number': 'not_a_number',
        'days_since': 'not_a_date',
    } -%}
    case
        when {{ rule.name }} is null and {{ is_blank(raw_cell(column)) }} then 'missing'
        {%- for each in text_errors(rule) %}
        when {{ each.condition }} then '{{ each.code }}'
        {%- endfor %}
        {%- if rule.type == 'integer' %}
        -- a whole number beyond the range of an integer
        when {{ rule.name }} is null and {{ trimmed_matches(raw_cell(column), whole_number()) }}
            then 'out_of_range'
        {%- endif %}
        {%- if rule.type in refusal %}
        when {{ rule.name }} is null then '{{ refusal[rule.type] }}'
        {%- endif %}
        {%- if rule.range %}
        when {{ rule.name }} not between {{ rule.range[0] }} and {{ rule.range[1] }}
            then 'out_of_range'
        {%- endif %}
    end
{%- endmacro %}


{% macro text_errors(rule) %}
    {#- The possible errors of a text, as code and condition on silver's column. -#}
    {%- set faults = [] -%}
    {%- if rule.longest -%}
        {%- do faults.append({
            'code': 'too_long',
            'condition': 'length(' ~ rule.name ~ ') > ' ~ rule.longest,
        }) -%}
    {%- endif -%}
    {%- for code, pattern in (rule.refused or {}).items() -%}
        {%- do faults.append({'code': code, 'condition': matches(rule.name, pattern)}) -%}
    {%- endfor -%}
    {{ return(faults) }}
{% endmacro %}


{% macro row_rule_terms(contract) %}
    {#- A term for every cell that a row rule can find invalid: code, column, condition. -#}
    {%- set terms = [] -%}
    {%- for code, rule in var('row_rules').items() -%}
        {%- for column in rule.columns -%}
            {%- do terms.append({
                'code': code,
                'column': column,
                'condition': rule.condition | replace('{cell}', contract[column].name),
            }) -%}
        {%- endfor -%}
    {%- endfor -%}
    {#- Cells that are valid on their own but result in an implausible feature. -#}
    {%- set accepted = [] -%}
    {%- for rule in contract.values() if rule.range -%}
        {%- do accepted.append(in_range(rule.name, rule.range)) -%}
    {%- endfor -%}
    {%- for column in contract -%}
        {%- set plausible = [] -%}
        {%- for feature, declared in var('derived_features').items()
            if column in declared.get('cells', []) -%}
            {%- do plausible.append(in_range(derived_feature(feature), declared.range)) -%}
        {%- endfor -%}
        {%- if plausible -%}
            {%- do terms.append({
                'code': 'feature_out_of_range',
                'column': column,
                'condition': 'not (' ~ accepted | join(' and ') ~ ') or ('
                    ~ plausible | join(' and ') ~ ')',
            }) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(terms) }}
{% endmacro %}


{% macro derived_feature(feature) -%}
    {#- A derived feature over silver's columns; {name} in its declaration is another one. -#}
    {%- set terms = namespace(sql=var('derived_features')[feature].expression) -%}
    {%- for other in var('derived_features') if '{' ~ other ~ '}' in terms.sql -%}
        {%- set terms.sql = terms.sql | replace('{' ~ other ~ '}', '(' ~ derived_feature(other) ~ ')') -%}
    {%- endfor -%}
    {{ terms.sql }}
{%- endmacro %}


{% macro feature_ranges(contract) -%}
    {#- Every feature with its lowest and highest plausible value. -#}
    {%- set ranges = [] -%}
    {%- for rule in contract.values() if rule.range -%}
        {%- do ranges.append({'feature': rule.name, 'range': rule.range}) -%}
    {%- endfor -%}
    {%- for feature, declared in var('derived_features').items() -%}
        {%- do ranges.append({'feature': feature, 'range': declared.range}) -%}
    {%- endfor -%}
    {%- for feature in plain_features(contract, ['flag']) -%}
        {%- do ranges.append({'feature': feature, 'range': [0, 1]}) -%}
    {%- endfor -%}
    {%- for column in one_hot_columns(contract) -%}
        {%- do ranges.append({'feature': column.name, 'range': [0, 1]}) -%}
    {%- endfor -%}
    {{ return(ranges) }}
{%- endmacro %}


{% macro in_range(expression, range) -%}
    {#- False for NaN and for both infinities, which are outside any range. -#}
    ({{ expression }}) between {{ range[0] }} and {{ range[1] }}
{%- endmacro %}


{% macro features_out_of_range() -%}
    {#- Whether a feature is missing or outside its range, as a condition. -#}
    {%- set conditions = [] -%}
    {%- for each in feature_ranges(var('source_contract')) if each.feature -%}
        {%- do conditions.append(in_range(each.feature, each.range)) -%}
    {%- endfor -%}
    not coalesce({{ (conditions or ['true']) | join(' and ') }}, false)
{%- endmacro %}


{% macro row_rule_error_code(term) -%}
    {#- The error code of a row rule; null if the rule is met or can't be evaluated. -#}
    case when not ({{ term.condition }}) then '{{ term.code }}' end
{%- endmacro %}


{% macro silver_constraints(contract) %}
    {#- The conditions of every row of silver, on silver's columns: contract and row rules. -#}
    {%- set conditions = [] -%}
    {%- for rule in contract.values() -%}
        {%- if rule.type == 'text' -%}
            {%- do conditions.append(rule.name ~ " != ''") -%}
            {%- for each in text_errors(rule) -%}
                {%- do conditions.append('not (' ~ each.condition ~ ')') -%}
            {%- endfor -%}
        {%- elif rule.type == 'flag' -%}
            {%- do conditions.append(rule.name ~ ' in (0, 1)') -%}
        {%- elif rule.type == 'category' -%}
            {%- do conditions.append(rule.name ~ ' in (' ~ literals(rule.categories) ~ ')') -%}
        {%- else -%}
            {%- do conditions.append(
                rule.name ~ ' between ' ~ rule.range[0] ~ ' and ' ~ rule.range[1]
            ) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for term in row_rule_terms(contract) -%}
        {%- do conditions.append('(' ~ term.condition ~ ')') -%}
    {%- endfor -%}
    {{ return(conditions) }}
{% endmacro %}


{% macro plain_features(contract, types) %}
    {#- The columns of silver of those types that are features as they are; not the label. -#}
    {%- set names = [] -%}
    {%- for rule in contract.values() if rule.type in types and not rule.is_label -%}
        {%- do names.append(rule.name) -%}
    {%- endfor -%}
    {{ return(names) }}
{% endmacro %}


{% macro one_hot_columns(contract) %}
    {#- Each one-hot column with its condition, over the declared categories. -#}
    {%- set columns = [] -%}
    {%- for rule in contract.values() if rule.type == 'category' -%}
        {%- for category in rule.categories -%}
            {%- do columns.append({
                'group': rule.name,
                'name': rule.name ~ '_' ~ snake_case(category),
                'condition': rule.name ~ ' = ' ~ text(category),
            }) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(columns) }}
{% endmacro %}


{% macro snake_case(text) -%}
    {{ modules.re.sub('[^a-z0-9]+', '_', text | lower).strip('_') }}
{%- endmacro %}


{% macro id_column(contract) -%}
    {#- The workbook's column that identifies the customer. -#}
    {%- for column, rule in contract.items() if rule.name == 'customer_id' -%}
        {{ return(column) }}
    {%- endfor -%}
{%- endmacro %}


{% macro one_category_of_each(contract) -%}
    {#- Whether a row is in exactly one category of every categorical column, as a condition. -#}
    {%- set conditions = [] -%}
    {%- for group, columns in one_hot_columns(contract) | groupby('group') if group -%}
        {%- do conditions.append(columns | map(attribute='name') | join(' + ') ~ ' = 1') -%}
    {%- endfor -%}
    ({{ (conditions or ['true']) | join(') and (') }})
{%- endmacro %}
