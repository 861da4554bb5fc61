{# SQL of the gate's rules. #}


{% macro judgements_on(figures) %}
{#- Every rule on its metric; `figures` has batch_id, extract_date, metric, value. -#}

with

gate_rules as (

    select * from ({{ gate_rules_table() }}) as gate_rules ({{ gate_rules_columns() }})

),

expected_changes as (

    select * from ({{ expected_changes_table() }}) as expected_changes (extract_date, rule)

),

final as (

    select
        figures.batch_id,
        figures.extract_date,
        gate_rules.rule,
        gate_rules.severity,
        figures.value as figure,
        coalesce(gate_rules.min_allowed, gate_rules.max_allowed) as threshold,
        -- a metric that could not be computed does not meet its rule
        case
            when
                coalesce(
                    figures.value >= coalesce(gate_rules.min_allowed, figures.value)
                    and figures.value <= coalesce(gate_rules.max_allowed, figures.value),
                    false
                ) then 'passed'
            when expected_changes.rule is not null then 'expected'
            when gate_rules.severity = 'warn' then 'warned'
            else 'failed'
        end as verdict

    from {{ figures }} as figures

    inner join gate_rules
        on figures.metric = gate_rules.metric

    left join expected_changes
        on
            figures.extract_date = expected_changes.extract_date
            and gate_rules.rule = expected_changes.rule

)

select * from final

{% endmacro %}


{% macro passed_candidates(candidates) %}
{#- The rows to publish: the candidates of the passed loads. -#}

with

candidates as (

    select * from {{ candidates }}

),

passed_loads as (

    select * from {{ ref('load_verdicts') }}
    where verdict = 'passed'

),

final as (

    select candidates.* exclude (batch_id)

    from candidates

    inner join passed_loads
        on candidates.batch_id = passed_loads.batch_id

)

select * from final

{% endmacro %}
