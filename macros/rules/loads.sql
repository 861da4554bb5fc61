{# The declared rules of loads, in SQL that any engine understands. #}


{% macro gate_rules_table() -%}
    {#- The declared rules, and those generated from the declared drift, as rows: rule, severity,
        metric, lowest and highest permitted value. -#}
    {%- set drift = var('drift') -%}
    values
    {%- for feature in drift.bands.keys() | list + drift.categories %}
    ('drift_of_{{ feature }}', 'error', 'drift_of_{{ feature }}', null, cast({{ drift.refused_above }} as double)),
    (
        'unusual_drift_of_{{ feature }}', 'warn', 'drift_of_{{ feature }}',
        null, cast({{ drift.unusual_above }} as double)
    ),
    {%- endfor %}
    {%- for rule, terms in var('gate_rules').items() %}
    (
        '{{ rule }}', '{{ terms.severity }}', '{{ terms.figure }}',
        cast({{ terms.get('at_least', 'null') }} as double),
        cast({{ terms.get('at_most', 'null') }} as double)
    ){{ ',' if not loop.last }}
    {%- endfor %}
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
    {%- set declared = var('source_contract').values() | map(attribute='silver') | list -%}
    {%- for feature in var('drift').categories if feature not in declared -%}
        {{ exceptions.raise_compiler_error(
            'The drift watches ' ~ feature ~ ', which is no column of the source contract.'
        ) }}
    {%- endfor -%}
    {%- for rule in var('source_contract').values() if rule.silver in var('drift').categories -%}
        {%- if rule.type == 'flag' -%}
            {%- do bins.append({'feature': rule.silver, 'bin': 'Yes',
                'condition': rule.silver ~ ' = 1'}) -%}
            {%- do bins.append({'feature': rule.silver, 'bin': 'No',
                'condition': rule.silver ~ ' = 0'}) -%}
        {%- else -%}
            {%- for category in rule.categories -%}
                {%- do bins.append({'feature': rule.silver, 'bin': category,
                    'condition': rule.silver ~ '_' ~ snake_case(category) ~ ' = 1'}) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(bins) }}
{% endmacro %}
