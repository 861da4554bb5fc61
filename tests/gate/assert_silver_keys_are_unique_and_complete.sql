-- In silver, every key has one row, no customer lacks a value, and every reject has a reason.
--
-- A failure is a key: its table, the rule that it breaks, and the number of its rows. The error is
-- in the cleaning models, not in the workbook. Gold is unchanged.
--
-- The test depends on the verdicts so that it runs after them: the gate must have recorded its own
-- result before this test stops the build.
--
-- depends_on: {{ ref('load_verdicts') }}

{{ config(group='cleaning') }}

{{
    violations(
        'customers', ['customer_id', 'extract_date'], complete='all', pending='extract_date'
    )
}}

union all

{{
    violations(
        'rejected_rows',
        ['_batch_id', '_row_number'],
        rules=[
            [
                'every reject has a reason',
                'size(reasons) > 0 and forall(reasons, reason -> '
                'reason.code is not null and reason.column_name is not null)',
            ],
            ['every reject has an extract date', 'extract_date is not null'],
        ],
        pending='extract_date',
    )
}}

union all

{{ violations('load_counts', ['batch_id'], complete='all', pending='batch_id') }}
