-- No load was refused. The test waits for gold: passed loads are published nevertheless.
--
-- depends_on: {{ ref('customer_features') }}
-- depends_on: {{ ref('churn_labels') }}

select * from {{ ref('gate_results') }}
where severity = 'error' and verdict = 'failed'
