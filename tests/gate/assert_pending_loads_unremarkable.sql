-- No pending load was out of the ordinary.
--
-- A row is a warn rule that a pending load did not meet: the load, its extract date, the rule, the
-- figure found and the threshold. The load is published all the same. Read silver.rejected_rows of
-- that load: more rejects than usual are the first sign of a changed export.

{{ config(severity='warn') }}

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

    -- the last judgement of the load, not those before
    inner join load_verdicts
        on open_loads.batch_id = load_verdicts.batch_id

    inner join gate_results
        on
            load_verdicts.batch_id = gate_results.batch_id
            and load_verdicts.judged_at = gate_results.judged_at

    where
        gate_results.severity = 'warn'
        and gate_results.verdict = 'warned'

)

select * from final
