-- The gate: no load that waits for publication was refused.
--
-- A row is an error rule that a pending load failed: the load, its extract date, the rule, the
-- figure found and the threshold. Gold is as it was before. Look at silver.rejected_rows of that
-- load, correct the workbook and load it again, or change the rule in dbt_project.yml if it is the
-- rule that is wrong. The load waits for either and holds up no other: the next build is green.
--
-- Reads only what gold itself is built from; a test that read anything else would hold back
-- nothing.

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
        gate_results.severity = 'error'
        and gate_results.verdict = 'failed'

)

select * from final
