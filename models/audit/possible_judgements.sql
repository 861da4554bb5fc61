{{ config(materialized='table') }}

{%- set metrics = var('gate_metrics') %}
{%- set floor = var('drift').floor %}
{%- for rule, terms in var('gate_rules').items() if terms.figure not in metrics %}
{#- a rule without its metric would never be evaluated #}
{{ exceptions.raise_compiler_error(
    'The gate rule ' ~ rule ~ ' names the figure ' ~ terms.figure ~ ', which nothing computes; '
    ~ 'gate_metrics declares ' ~ metrics | join(', ') ~ '.'
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

candidates as (

    select * from {{ ref('audit_churn_labels') }}

),

published_customers as (

    select * from {{ published_customers_before() }}

),

gate_rules as (

    select * from {{ gate_rules_table() }} as gate_rules ({{ gate_rules_columns() }})

),

expected_changes as (

    select * from {{ expected_changes_table() }} as expected_changes (extract_date, rule)

),

-- the one extract in gold that can be a load's baseline: the nearest before its date, otherwise the
-- nearest after it; never the one that it replaces
neighbours as (

    select
        open_loads.batch_id,
        coalesce(
            max(if(in_gold.extract_date < open_loads.extract_date, in_gold.extract_date, null)),
            min(in_gold.extract_date)
        ) as extract_date

    from open_loads

    inner join in_gold
        on open_loads.extract_date != in_gold.extract_date

    group by open_loads.batch_id

),

-- the possible baselines of a load: its neighbour in gold, and each earlier pending load that would
-- be nearer if it passes
pairs as (

    select
        open_loads.batch_id,
        open_loads.extract_date,
        in_gold.batch_id as other_batch_id,
        in_gold.extract_date as other_extract_date,
        false as other_is_open

    from open_loads

    inner join neighbours
        on open_loads.batch_id = neighbours.batch_id

    inner join in_gold
        on neighbours.extract_date = in_gold.extract_date

    union all

    select
        open_loads.batch_id,
        open_loads.extract_date,
        earlier_loads.batch_id as other_batch_id,
        earlier_loads.extract_date as other_extract_date,
        true as other_is_open

    from open_loads

    inner join open_loads as earlier_loads
        on open_loads.extract_date > earlier_loads.extract_date

    left join neighbours
        on open_loads.batch_id = neighbours.batch_id

    where
        neighbours.extract_date is null
        or neighbours.extract_date > open_loads.extract_date
        -- on the same date, the pending load replaces the published one
        or neighbours.extract_date <= earlier_loads.extract_date

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

-- customers of rejected rows are in neither set: they are not in gold, which observed churn
-- compares
customers_of_others as (

    select
        in_gold.batch_id,
        false as is_open,
        published_customers.customer_id

    from published_customers

    inner join in_gold
        on published_customers.extract_date = in_gold.extract_date

    where {{ has_date_of('neighbours', 'published_customers.extract_date') }}

    union all

    select
        batch_id,
        true as is_open,
        customer_id

    from candidates

),

sizes_of_others as (

    select
        batch_id,
        is_open,
        count(*) as customers

    from customers_of_others

    group by
        batch_id,
        is_open

),

customers_in_both as (

    select
        pairs.batch_id,
        pairs.other_batch_id,
        pairs.other_is_open,
        count(*) as customers

    from pairs

    inner join candidates
        on pairs.batch_id = candidates.batch_id

    inner join customers_of_others
        on
            pairs.other_batch_id = customers_of_others.batch_id
            and pairs.other_is_open = customers_of_others.is_open
            and candidates.customer_id = customers_of_others.customer_id

    group by
        pairs.batch_id,
        pairs.other_batch_id,
        pairs.other_is_open

),

compared_counts as (

    select
        pairs.batch_id,
        pairs.other_batch_id,
        pairs.other_is_open,
        load_counts.bronze_rows,
        other_counts.bronze_rows as baseline_bronze_rows,
        load_figures.customers,
        -- null if gold should have the extract but does not: nothing can be computed
        coalesce(sizes.customers, if(pairs.other_is_open, 0, null)) as baseline_customers,
        coalesce(customers_in_both.customers, if(baseline_customers is null, null, 0))
            as customers_in_both,
        pairs.other_extract_date < pairs.extract_date as other_is_earlier

    from pairs

    left join load_figures
        on pairs.batch_id = load_figures.batch_id

    left join load_counts
        on pairs.batch_id = load_counts.batch_id

    left join load_counts as other_counts
        on pairs.other_batch_id = other_counts.batch_id

    left join customers_in_both
        on
            pairs.batch_id = customers_in_both.batch_id
            and pairs.other_batch_id = customers_in_both.other_batch_id
            and pairs.other_is_open = customers_in_both.other_is_open

    left join sizes_of_others as sizes
        on
            pairs.other_batch_id = sizes.batch_id
            and pairs.other_is_open = sizes.is_open

),

-- by date, not by which of the two is the load: a late load is older than its baseline and lacks
-- the customers who joined in between
by_date as (

    select
        *,
        if(other_is_earlier, baseline_customers, customers) as earlier_customers,
        if(other_is_earlier, customers, baseline_customers) as later_customers

    from compared_counts

),

baseline_figures as (

    select
        batch_id,
        other_batch_id,
        other_is_open,
        inline(array( -- noqa: AL03
            {%- for figure, metric in metrics.items() if metric.of == 'baseline' %}
            named_struct(
                'figure', '{{ figure }}', 'finding', cast({{ metric.expression }} as double)
            )
            {{- ',' if not loop.last }}
            {%- endfor %}
        ))

    from by_date

),

comparisons as (

    select * from drifts

    union all

    select * from baseline_figures

),

own_figures as (

    select
        batch_id,
        inline(array( -- noqa: AL03
            {%- for figure, metric in metrics.items() if metric.of != 'baseline' %}
            named_struct('figure', '{{ figure }}', 'finding', {{ figure }})
            {{- ',' if not loop.last }}
            {%- endfor %}
        ))

    from load_figures

),

-- every rule on the metrics of a load alone, and on those of each comparison
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
        -- a metric that could not be computed does not meet its rule
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
