-- The gate: no load that waits for publication was refused.
--
-- A row is an error rule that a pending load failed: the load, its extract date, the rule, the
-- figure found and the threshold. Gold is as it was before. Look at silver.rejected_rows of that
-- load, correct the workbook and load it again, or change the rule in dbt_project.yml if it is the
-- rule that is wrong. The load waits for either and holds up no other: the next build is green.
--
-- Reads only what gold itself is built from; a test that read anything else would hold back
-- nothing.

{{ judgements_of_pending_loads(severity='error', verdict='failed') }}
