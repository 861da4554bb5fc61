{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        full_refresh=false,
        on_schema_change='append_new_columns',
    )
}}

with

gate_rules as (

    select * from {{ ref('gate_rules') }}

),

evaluated_loads as (

    select * from {{ ref('int_comparison_baselines') }}

),

pending_loads as (

    select * from {{ ref('pending_loads') }}

),

previous_results as (

    select * from {{ previous_gate_results() }}

),

-- every rule on every load: on its own, or against its baseline
evaluated as (

    select
        evaluated_loads.batch_id,
        evaluated_loads.extract_date,
        evaluated_loads.candidates_built_at,
        gate_rules.*,
        get(filter(evaluated_loads.evaluations, one -> one.rule = gate_rules.rule), 0) as evaluation

    from evaluated_loads

    cross join gate_rules

),

results as (

    select
        evaluated.batch_id,
        evaluated.extract_date,
        evaluated.rule,
        evaluated.severity,
        evaluated.evaluation.value as figure,
        coalesce(evaluated.min_allowed, evaluated.max_allowed) as threshold,
        coalesce(evaluated.evaluation.verdict, 'not_applicable') as verdict,
        evaluated.evaluation.compared_with,
        evaluated.evaluation.details,
        evaluated.candidates_built_at,
        evaluated.description,
        evaluated.direction,
        evaluated.unit,
        evaluated.evaluation.approver,
        evaluated.evaluation.reason

    from evaluated

),

superseded as (

    select
        extract_date,
        explode(superseded_batch_ids) as batch_id

    from pending_loads

    union all

    select
        pending_loads.extract_date,
        pending_loads.superseded_if_passed as batch_id

    from pending_loads

    inner join evaluated_loads
        on pending_loads.batch_id = evaluated_loads.batch_id

    where
        pending_loads.superseded_if_passed is not null
        and evaluated_loads.passes

),

new_results as (

    select * from results

    union all

    select
        batch_id,
        extract_date,
        'superseded' as rule,
        'info' as severity,
        cast(null as double) as figure,
        cast(null as double) as threshold,
        'superseded' as verdict,
        cast(null as date) as compared_with,
        cast(null as string) as details,
        cast(null as timestamp) as candidates_built_at,
        cast(null as string) as description,
        cast(null as string) as direction,
        cast(null as string) as unit,
        cast(null as string) as approver,
        cast(null as string) as reason

    from superseded

),

final as (

    select
        '{{ run_id() }}' as run_id,
        batch_id,
        extract_date,
        rule,
        severity,
        figure,
        threshold,
        verdict,
        compared_with,
        details,
        candidates_built_at,
        '{{ rules_version() }}' as rules_version,
        current_timestamp() as judged_at,
        {{ next_number('verdict_number', 'previous_results') }} as verdict_number,
        description,
        direction,
        unit,
        approver,
        reason

    from new_results

)

select * from final
