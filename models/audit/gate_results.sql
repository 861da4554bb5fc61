{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        full_refresh=false,
        on_schema_change='append_new_columns',
    )
}}

with

loads as (

    select * from {{ source('bronze', 'loads') }}

),

load_figures as (

    select * from {{ ref('load_figures') }}

),

judgements as (

    select * from {{ ref('possible_judgements') }}

),

compared_loads as (

    select * from {{ ref('compared_loads') }}

),

judged as (

    select * from {{ judged_before() }}

),

in_gold as (

    select * from {{ in_gold_before() }}

),

gate_rules as (

    select * from {{ gate_rules_table() }} as gate_rules ({{ gate_rules_columns() }})

),

-- every rule on every load: on its own, or against its baseline
ruled as (

    select
        load_figures.batch_id,
        load_figures.extract_date,
        gate_rules.rule,
        gate_rules.severity,
        judgements.figure,
        coalesce(gate_rules.lowest, gate_rules.highest) as threshold,
        coalesce(judgements.verdict, 'not_applicable') as verdict,
        judgements.other_extract_date as compared_with,
        if(gate_rules.figure = 'customers_out_of_range', load_figures.features_out_of_range, null)
            as details,
        load_figures.candidates_built_at,
        gate_rules.description,
        gate_rules.direction,
        gate_rules.unit

    from load_figures

    cross join gate_rules

    left join compared_loads
        on load_figures.batch_id = compared_loads.batch_id

    left join judgements
        on
            load_figures.batch_id = judgements.batch_id
            and gate_rules.rule = judgements.rule
            and (
                judgements.other_batch_id is null
                or (
                    compared_loads.other_batch_id = judgements.other_batch_id
                    and compared_loads.other_is_open = judgements.other_is_open
                )
            )

),

passing as (

    select batch_id

    from ruled

    group by batch_id

    having not bool_or(severity = 'error' and verdict = 'failed')

),

states as (

    select
        batch_id,
        max_by(verdict = 'superseded', struct(verdict_number, judged_at)) as is_superseded

    from judged

    group by batch_id

),

-- a later load of the date supersedes this one: at once if this one is not in gold, otherwise when
-- the later one has passed
superseded as (

    select distinct
        loads.batch_id,
        loads.extract_date

    from loads

    inner join loads as later
        on
            loads.extract_date = later.extract_date
            and struct(loads.load_number, loads._loaded_at)
            < struct(later.load_number, later._loaded_at)

    left join states
        on loads.batch_id = states.batch_id

    left join in_gold
        on loads.batch_id = in_gold.batch_id

    left join passing
        on later.batch_id = passing.batch_id

    where
        not coalesce(states.is_superseded, false)
        and (in_gold.batch_id is null or passing.batch_id is not null)

),

judged_now as (

    select * from ruled

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
        cast(null as string) as unit

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
        {{ next_number('verdict_number', 'judged') }} as verdict_number,
        description,
        direction,
        unit

    from judged_now

)

select * from final
