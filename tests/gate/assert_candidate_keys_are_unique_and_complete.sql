-- In audit, every key has one row, and no candidate lacks a value.
--
-- A failure is a key: its table, the rule that it breaks, and the number of its rows. A customer
-- who occurs twice also breaks the gate's rule unique_customers. Gold is unchanged.
--
-- The test reads the verdicts, so it runs after them: the gate must have recorded its own result
-- before this test stops the build.

{{ config(group='gate') }}

{{
    violations(
        'audit_customer_features',
        ['batch_id', 'customer_id'],
        complete='all',
        rules=[
            ['one category of each column', one_category_of_each(var('source_contract'))],
        ],
    )
}}

union all

{{ violations('audit_churn_labels', ['batch_id', 'customer_id'], complete='all') }}

union all

{{
    violations(
        'extract_profiles', ['batch_id', 'feature', 'bin'], complete='all', pending='batch_id'
    )
}}

union all

{{
    violations(
        'load_metrics', ['batch_id', 'baseline_batch_id', 'baseline_is_pending', 'metric']
    )
}}

union all

{{ violations('gate_rules', ['rule'], complete=['rule', 'severity', 'metric']) }}

union all

{{
    violations(
        'gate_results',
        ['batch_id', 'rule', 'judged_at'],
        complete=['run_id', 'batch_id', 'rule', 'verdict', 'judged_at'],
        pending='batch_id',
    )
}}

union all

{{ violations('load_verdicts', ['batch_id'], pending='batch_id') }}
