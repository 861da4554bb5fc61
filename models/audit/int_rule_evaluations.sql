{{ config(materialized='ephemeral') }}

{%- set metrics = var('gate_metrics') %}
{%- for rule, terms in var('gate_rules').items() if terms.metric not in metrics %}
{#- a rule without its metric would never be evaluated #}
{{ exceptions.raise_compiler_error(
    'The gate rule ' ~ rule ~ ' names the metric ' ~ terms.metric ~ ', which nothing computes; '
    ~ 'gate_metrics declares ' ~ metrics | join(', ') ~ '.'
) }}
{%- endfor %}
{#- the order in which values are added up differs between builds #}
{%- set rounding = '1e-9' %}

with

load_metrics as (

    select * from {{ ref('load_metrics') }}

),

gate_rules as (

    select * from {{ ref('gate_rules') }}

),

expected_changes as (

    select * from {{ expected_changes_table() }} as expected_changes (extract_date, rule)

),

approvals as (

    select * from {{ previous_approvals() }}

),

compared as (

    select
        load_metrics.batch_id,
        load_metrics.extract_date,
        load_metrics.candidates_built_at,
        load_metrics.baseline_batch_id,
        load_metrics.baseline_date,
        load_metrics.baseline_is_pending,
        gate_rules.rule,
        gate_rules.severity,
        load_metrics.value,
        load_metrics.details,
        -- a metric that could not be computed does not meet its rule
        coalesce(
            load_metrics.value >= coalesce(gate_rules.min_allowed, load_metrics.value)
            and load_metrics.value <= coalesce(gate_rules.max_allowed, load_metrics.value),
            false
        ) as is_met,
        expected_changes.rule is not null as is_declared,
        approvals.approver,
        approvals.reason

    from load_metrics

    inner join gate_rules
        on load_metrics.metric = gate_rules.metric

    left join expected_changes
        on
            load_metrics.extract_date = expected_changes.extract_date
            and gate_rules.rule = expected_changes.rule

    -- a person approves the value of the time, not a worse one that is found later
    left join approvals
        on
            load_metrics.batch_id = approvals.batch_id
            and gate_rules.rule = approvals.rule
            and (
                gate_rules.min_allowed is null
                or load_metrics.value >= approvals.figure - {{ rounding }}
            )
            and (
                gate_rules.max_allowed is null
                or load_metrics.value <= approvals.figure + {{ rounding }}
            )

),

final as (

    select
        * except (is_met, is_declared, approver, reason),
        case
            when is_met then 'passed'
            when is_declared or approver is not null then 'expected'
            when severity = 'warn' then 'warned'
            else 'failed'
        end as verdict,
        if(is_met or is_declared, null, approver) as approver,
        if(is_met or is_declared, null, reason) as reason

    from compared

)

select * from final
