-- In gold, every customer has one row per extract date, with every value in its range.
--
-- A failure is a key: its table, the rule that it breaks, and the number of its rows. This is a
-- post-condition: the gate should have refused the load. Materialize nothing before the cause is
-- known; `churn build --rebuild` publishes the passed loads again.
--
-- The views for readers select from these tables; a monthly run leaves them out.
-- depends_on: {{ ref('customers_current') }}, {{ ref('scores_current') }}

{{
    violations(
        'customer_features',
        ['customer_id', 'extract_date'],
        complete='all',
        rules=[
            ['every feature is in its range', 'not (' ~ features_out_of_range() ~ ')'],
            [
                'the event is at the start of the extract date',
                'event_timestamp = cast(extract_date as timestamp)',
            ],
        ],
        pending='extract_date',
    )
}}

union all

{{
    violations(
        'churn_labels',
        ['customer_id', 'extract_date'],
        complete='all',
        rules=[['labels are 0 or 1', 'churned in (0, 1)']],
        pending='extract_date',
    )
}}

union all

{{ violations('features_with_labels', ['customer_id', 'extract_date'], pending='extract_date') }}

union all

-- publications of earlier versions have no number
{{
    violations(
        'publications',
        ['batch_id'],
        complete=[
            'batch_id', 'extract_date', 'created_timestamp', 'customers', 'run_id', 'published_at'
        ],
    )
}}

{% if var('test_scope') == 'all' %}
union all

{{ violations('customers_current', ['customer_id']) }}

union all

{{ violations('scores_current', ['customer_id']) }}
{% endif %}
