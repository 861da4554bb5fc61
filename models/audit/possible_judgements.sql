{{ config(materialized='table') }}

{%- set own_figures = [
    'customers', 'surplus_keys', 'customers_without_label', 'reject_share', 'unaccounted_rows',
    'customers_against_rules', 'candidates_missing_or_surplus', 'churn_rate',
    'share_of_odd_totals',
] %}
{%- set floor = var('drift').floor %}
{%- for rule, terms in var('gate_rules').items()
    if terms.figure not in own_figures + ['change_of_rows'] %}
{#- without its figure a rule would never be judged #}
{{ exceptions.raise_compiler_error(
    'The gate rule ' ~ rule ~ ' names the figure ' ~ terms.figure ~ ', which nothing computes; '
    ~ 'figures are the columns of audit.load_figures, and change_of_rows.'
) }}
{%- endfor %}

with

open_loads as (

    select * from {{ ref('open_loads') }}

),

load_figures as (

    select * from {{ ref('load_figures') }}

),

load_counts as (

    select * from {{ ref('load_counts') }}

),

profiles as (

    select
        *,
        -- an empty bin would make the index infinite
        greatest(share, {{ floor }}) as share_or_floor

    from {{ ref('extract_profiles') }}

),

in_gold as (

    select * from {{ in_gold_before() }}

),

gate_rules as (

    select * from {{ gate_rules_table() }} as gate_rules (rule, severity, figure, lowest, highest)

),

expected_changes as (

    select * from {{ expected_changes_table() }} as expected_changes (extract_date, rule)

),

-- what a load may have to be compared with: gold, and pending loads, which an earlier one becomes
-- part of once it has passed; never what it replaces itself
others as (

    select
        batch_id,
        extract_date,
        false as is_open

    from in_gold

    union all

    select
        batch_id,
        extract_date,
        true as is_open

    from open_loads

),

pairs as (

    select
        open_loads.batch_id,
        open_loads.extract_date,
        others.batch_id as other_batch_id,
        others.extract_date as other_extract_date,
        others.is_open as other_is_open

    from open_loads

    inner join others
        on open_loads.extract_date != others.extract_date

),

changes_of_rows as (

    select
        pairs.batch_id,
        pairs.other_batch_id,
        pairs.other_is_open,
        'change_of_rows' as figure,
        try_divide(load_counts.bronze_rows, other_counts.bronze_rows) - 1 as finding

    from pairs

    inner join load_counts
        on pairs.batch_id = load_counts.batch_id

    inner join load_counts as other_counts
        on pairs.other_batch_id = other_counts.batch_id

),

-- the population stability index
drifts as (

    select
        pairs.batch_id,
        pairs.other_batch_id,
        pairs.other_is_open,
        concat('drift_of_', profiles.feature) as figure,
        sum(
            (profiles.share_or_floor - other_profiles.share_or_floor)
            * ln(profiles.share_or_floor / other_profiles.share_or_floor)
        ) as finding

    from pairs

    inner join profiles
        on pairs.batch_id = profiles.batch_id

    inner join profiles as other_profiles
        on
            pairs.other_batch_id = other_profiles.batch_id
            and profiles.feature = other_profiles.feature
            and profiles.bin = other_profiles.bin

    group by
        pairs.batch_id,
        pairs.other_batch_id,
        pairs.other_is_open,
        profiles.feature

),

comparisons as (

    select * from changes_of_rows

    union all

    select * from drifts

),

own_figures as (

    select
        batch_id,
        inline(array( -- noqa: AL03
            {%- for figure in own_figures %}
            named_struct('figure', '{{ figure }}', 'finding', {{ figure }})
            {{- ',' if not loop.last }}
            {%- endfor %}
        ))

    from load_figures

),

-- every rule on the figures of a load alone, and on those of each comparison
figures as (

    select
        open_loads.batch_id,
        open_loads.extract_date,
        cast(null as string) as other_batch_id,
        cast(null as date) as other_extract_date,
        cast(null as boolean) as other_is_open,
        gate_rules.rule,
        gate_rules.severity,
        gate_rules.lowest,
        gate_rules.highest,
        own_figures.finding

    from open_loads

    inner join own_figures
        on open_loads.batch_id = own_figures.batch_id

    inner join gate_rules
        on own_figures.figure = gate_rules.figure

    union all

    select
        pairs.batch_id,
        pairs.extract_date,
        pairs.other_batch_id,
        pairs.other_extract_date,
        pairs.other_is_open,
        gate_rules.rule,
        gate_rules.severity,
        gate_rules.lowest,
        gate_rules.highest,
        comparisons.finding

    from pairs

    inner join comparisons
        on
            pairs.batch_id = comparisons.batch_id
            and pairs.other_batch_id = comparisons.other_batch_id
            and pairs.other_is_open = comparisons.other_is_open

    inner join gate_rules
        on comparisons.figure = gate_rules.figure

),

final as (

    select
        figures.batch_id,
        figures.extract_date,
        figures.other_batch_id,
        figures.other_extract_date,
        figures.other_is_open,
        figures.rule,
        figures.severity,
        figures.finding as figure,
        coalesce(figures.lowest, figures.highest) as threshold,
        -- a figure that could not be computed is not a figure that holds
        case
            when
                coalesce(
                    figures.finding >= coalesce(figures.lowest, figures.finding)
                    and figures.finding <= coalesce(figures.highest, figures.finding),
                    false
                ) then 'passed'
            when expected_changes.rule is not null then 'expected'
            when figures.severity = 'warn' then 'warned'
            else 'failed'
        end as verdict

    from figures

    left join expected_changes
        on
            figures.extract_date = expected_changes.extract_date
            and figures.rule = expected_changes.rule

)

select * from final
