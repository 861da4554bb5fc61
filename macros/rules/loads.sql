{# The declared rules of loads, in SQL that any engine understands. #}


{% macro gate_rules_table() -%}
    {#- The declared rules, and those generated from the declared drift, as rows of gate_rules_columns:
        rule, severity, metric, lowest and highest permitted value, and the texts for people. -#}
    {%- set drift = var('drift') -%}
    {%- set rules = [] -%}
    {%- for feature in drift.bands.keys() | list + drift.categories -%}
        {%- set terms = {
            'metric': 'drift_of_' ~ feature,
            'description': 'Population stability index of ' ~ feature ~ ' against the baseline.',
            'unit': 'index',
        } -%}
        {%- do rules.append(dict(terms, rule='drift_of_' ~ feature, severity='error',
            at_most=drift.error_above)) -%}
        {%- do rules.append(dict(terms, rule='unusual_drift_of_' ~ feature, severity='warn',
            at_most=drift.warn_above)) -%}
    {%- endfor -%}
    {%- for rule, terms in var('gate_rules').items() -%}
        {%- set metric = var('gate_metrics').get(terms.metric, {}) -%}
        {%- do rules.append(dict(terms, rule=rule, unit=metric.unit)) -%}
    {%- endfor -%}
    values
    {%- for rule in rules %}
    (
        '{{ rule.rule }}', '{{ rule.severity }}', '{{ rule.metric }}',
        cast({{ rule.get('at_least', 'null') }} as double),
        cast({{ rule.get('at_most', 'null') }} as double),
        {{ text_literal(rule.description) }},
        '{{ 'at least' if 'at_least' in rule else 'at most' }}',
        {{ text_literal(rule.unit) }}
    ){{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}


{% macro gate_rules_columns() -%}
    {#- The columns of gate_rules_table. -#}
    rule, severity, metric, min_allowed, max_allowed, description, direction, unit
{%- endmacro %}


{% macro text_literal(text) -%}
    {#- A text as an SQL literal; null where there is none. -#}
    cast({{ "'" ~ text | replace("'", "''") ~ "'" if text else 'null' }} as string)
{%- endmacro %}


{% macro expected_changes_table() -%}
    {#- The declared exceptions as rows: extract date, rule. -#}
    {%- set entries = [] -%}
    {%- for change in var('expected_changes') -%}
        {%- for rule in change.rules -%}
            {%- do entries.append("(date '" ~ change.extract_date ~ "', '" ~ rule ~ "')") -%}
        {%- endfor -%}
    {%- endfor -%}
    {#- a relation needs a row -#}
    values {{ (entries or ["(cast(null as date), cast(null as string))"]) | join(', ') }}
{%- endmacro %}


{% macro drift_bins() %}
    {#- The bins of every watched feature: feature, bin, condition over the candidates' columns. -#}
    {%- set bins = [] -%}
    {%- for feature, edges in var('drift').bands.items() -%}
        {%- set lower = [none] + edges -%}
        {%- set upper = edges + [none] -%}
        {%- for low in lower -%}
            {%- set high = upper[loop.index0] -%}
            {%- if low is none -%}
                {%- do bins.append({'feature': feature, 'bin': 'below ' ~ high,
                    'condition': feature ~ ' < ' ~ high}) -%}
            {%- elif high is none -%}
                {%- do bins.append({'feature': feature, 'bin': low ~ ' or more',
                    'condition': feature ~ ' >= ' ~ low}) -%}
            {%- else -%}
                {%- do bins.append({'feature': feature, 'bin': low ~ ' to ' ~ high,
                    'condition': feature ~ ' >= ' ~ low ~ ' and ' ~ feature ~ ' < ' ~ high}) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set declared = var('source_contract').values() | map(attribute='name') | list -%}
    {%- for feature in var('drift').categories if feature not in declared -%}
        {{ exceptions.raise_compiler_error(
            'The drift watches ' ~ feature ~ ', which is no column of the source contract.'
        ) }}
    {%- endfor -%}
    {%- for rule in var('source_contract').values() if rule.name in var('drift').categories -%}
        {%- if rule.type == 'flag' -%}
            {%- do bins.append({'feature': rule.name, 'bin': 'Yes',
                'condition': rule.name ~ ' = 1'}) -%}
            {%- do bins.append({'feature': rule.name, 'bin': 'No',
                'condition': rule.name ~ ' = 0'}) -%}
        {%- else -%}
            {%- for category in rule.categories -%}
                {%- do bins.append({'feature': rule.name, 'bin': category,
                    'condition': rule.name ~ '_' ~ snake_case(category) ~ ' = 1'}) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(bins) }}
{% endmacro %}
