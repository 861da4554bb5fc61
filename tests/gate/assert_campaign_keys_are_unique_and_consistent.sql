-- Every campaign has its customers once, and nothing was recorded of its control group.
--
-- A failure is a key: its table, the rule that it breaks, and the number of its rows. The rows were
-- written by `churn campaign`; restore a backup of bronze.campaign_members or
-- bronze.campaign_outcomes.

{{ config(group='publishing', tags=['campaigns']) }}

{{
    violations(
        'campaigns',
        ['campaign'],
        complete=['campaign', 'status', 'extract_date', 'model_version', 'started_at', 'seed'],
        rules=[['there are customers to call', 'contacted > 0']],
    )
}}

union all

{{
    violations(
        'campaign_members',
        ['campaign', 'customer_id'],
        complete=['campaign', 'customer_id', 'arm', 'stratum', 'cost', 'probability', 'revenue'],
        rules=[
            ['the arm is known', "arm in ('contacted', 'control')"],
            ['a control customer is not listed', "(arm = 'control') = (list_rank is null)"],
            ['a control customer was not called', "arm = 'contacted' or called is null"],
        ],
    )
}}

union all

{{
    violations(
        'campaign_results', ['campaign', 'analysis'], complete=['effect', 'costs', 'saved']
    )
}}
