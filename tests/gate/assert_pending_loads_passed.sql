-- The gate: no pending load was refused.
--
-- A failure is an error rule that a pending load broke: the load, its extract date, the rule, the
-- value and the threshold. Gold is unchanged. Check silver.rejected_rows of that load, correct the
-- workbook and load it again, or change the rule in dbt_project.yml if the rule is wrong. The load
-- waits for either and blocks no other load: the next build is green.
--
-- The test reads only tables that gold itself is built from; a test that reads anything else would
-- not block gold. It depends on the verdicts so that it runs after them.
--
-- depends_on: {{ ref('load_verdicts') }}

select * from {{ ref('int_latest_gate_results') }}
where
    batch_id in (select pending.batch_id from {{ ref('pending_loads') }} as pending)
    and severity = 'error'
    and verdict = 'failed'
