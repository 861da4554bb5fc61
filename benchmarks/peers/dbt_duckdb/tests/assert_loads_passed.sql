-- No load was refused. Waits for gold: what has passed is published all the same.
--
-- depends_on: {{ ref('customer_features') }}
-- depends_on: {{ ref('churn_labels') }}

select * from {{ ref('gate_results') }}
where severity = 'error' and verdict = 'failed'
