-- No pending load was unusual.
--
-- A failure is a warn rule that a pending load did not meet: the load, its extract date, the rule,
-- the value and the threshold. The load is published nevertheless. Check silver.rejected_rows of
-- that load: more rejects than usual are the first sign of a changed export.

{{ config(severity='warn') }}

-- The test depends on the verdicts so that it runs after them.
--
-- depends_on: {{ ref('load_verdicts') }}

select * from {{ ref('int_latest_gate_results') }}
where
    batch_id in (select pending.batch_id from {{ ref('pending_loads') }} as pending)
    and severity = 'warn'
    and verdict = 'warned'
