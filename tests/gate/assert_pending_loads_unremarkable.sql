-- No pending load was out of the ordinary.
--
-- A row is a warn rule that a pending load did not meet: the load, its extract date, the rule, the
-- figure found and the threshold. The load is published all the same. Read silver.rejected_rows of
-- that load: more rejects than usual are the first sign of a changed export.

{{ config(severity='warn') }}

{{ judgements_of_pending_loads(severity='warn', verdict='warned') }}
