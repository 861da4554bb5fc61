{# SQL that the gate's rules, its tests and the published tables share. #}


{% macro passed_candidates(candidates) %}
{#- The rows to publish: the candidates of the passed loads that the verdict evaluated. -#}

with

candidates as (

    select * from {{ candidates }}

),

passed_loads as (

    select * from {{ ref('load_verdicts') }}
    where verdict = 'passed'

),

final as (

    select candidates.* except (batch_id, built_at)

    from candidates

    -- a verdict on earlier candidates does not apply to rebuilt ones
    inner join passed_loads
        on
            candidates.batch_id = passed_loads.batch_id
            and candidates.built_at <= passed_loads.candidates_built_at

)

select * from final

{% endmacro %}


{% macro judgements_of_pending_loads(severity, verdict) %}
{#- The rules with that severity and verdict in the latest evaluation of every pending load. -#}

with

open_loads as (

    select * from {{ ref('open_loads') }}

),

load_verdicts as (

    select * from {{ ref('load_verdicts') }}

),

gate_results as (

    select * from {{ ref('gate_results') }}

),

final as (

    select
        gate_results.batch_id,
        gate_results.extract_date,
        gate_results.rule,
        gate_results.figure,
        gate_results.threshold

    from open_loads

    -- the latest evaluation of the load, not earlier ones
    inner join load_verdicts
        on open_loads.batch_id = load_verdicts.batch_id

    inner join gate_results
        on
            load_verdicts.batch_id = gate_results.batch_id
            and load_verdicts.verdict_number <=> gate_results.verdict_number
            and load_verdicts.judged_at = gate_results.judged_at

    where
        gate_results.severity = '{{ severity }}'
        and gate_results.verdict = '{{ verdict }}'

)

select * from final

{% endmacro %}
