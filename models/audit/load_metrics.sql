{{ config(materialized='table') }}

{%- set metrics = var('gate_metrics') %}
{%- set constraints = silver_constraints(var('source_contract')) %}
{%- set ranges = feature_ranges(var('source_contract')) %}
{%- set floor = var('drift').floor %}

with

pending_loads as (

    select * from {{ ref('pending_loads') }}

),

pending_dates as (

    select * from {{ ref('pending_dates') }}

),

load_counts as (

    select * from {{ ref('load_counts') }}

),

customers as (

    select * from {{ ref('customers') }}
    where array_contains((select pending_dates.extract_dates from pending_dates), extract_date)

),

features as (

    select * from {{ ref('audit_customer_features') }}

),

labels as (

    select * from {{ ref('audit_churn_labels') }}

),

published_labels as (

    select * from {{ previous_published_customers() }}
    where array_contains(
        (select pending_dates.published_baseline_dates from pending_dates), extract_date
    )

),

profiles as (

    select
        *,
        -- an empty bin would make the index infinite
        greatest(share, {{ floor }}) as share_or_floor

    from {{ ref('extract_profiles') }}

),

-- silver's rows are validated against the declared rules again, whichever process wrote them
silver_checks as (

    select
        _batch_id as batch_id,
        count_if(
            not coalesce(
                {%- for constraint in constraints %}
                {{ 'and ' if not loop.first }}{{ constraint }}
                {%- endfor %},
                false
            )
        ) as invalid_customers

    from customers

    group by _batch_id

),

feature_counts as (

    select
        batch_id,
        count(*) as feature_rows,
        count(distinct customer_id) as customers,
        count_if({{ features_out_of_range() }}) as customers_out_of_range,
        {%- for name, metric in metrics.items() if metric.of == 'features' %}
        {{ metric.expression }} as {{ name }},
        {%- endfor %}
        max(built_at) as built_at

    from features

    group by batch_id

),

label_counts as (

    select
        batch_id,
        count(*) as label_rows,
        count(distinct customer_id) as labelled_customers,
        count(churned) as labels,
        {%- for name, metric in metrics.items() if metric.of == 'labels' %}
        {{ metric.expression }} as {{ name }},
        {%- endfor %}
        max(built_at) as built_at

    from labels

    group by batch_id

),

-- no row if all rows of silver meet their rules
out_of_range as (

    select
        batch_id,
        inline(filter( -- noqa: AL03
            array(
                {%- for range in ranges if range.feature %}
                named_struct(
                    'feature', '{{ range.feature }}',
                    'value', cast({{ range.feature }} as double),
                    'min_allowed', cast({{ range.range[0] }} as double),
                    'max_allowed', cast({{ range.range[1] }} as double)
                ){{ ',' if not loop.last }}
                {%- endfor %}
            ),
            one -> not coalesce(one.value between one.min_allowed and one.max_allowed, false)
        ))

    from features

    where {{ features_out_of_range() }}

),

features_out_of_range as (

    select
        batch_id,
        concat(
            feature, ': ', count(*), ' customers from ',
            coalesce(cast(min(value) as string), 'missing'), ' to ',
            coalesce(cast(max(value) as string), 'missing'),
            ', plausible from ', min(min_allowed), ' to ', min(max_allowed)
        ) as description

    from out_of_range

    group by
        batch_id,
        feature

),

range_details as (

    select
        batch_id,
        array_join(array_sort(collect_list(description)), '; ') as details

    from features_out_of_range

    group by batch_id

),

-- the possible baselines of a load: the nearest published extract, and each earlier pending load
-- that would be nearer if it passes
baselines as (

    select
        batch_id,
        published_baseline_batch_id as baseline_batch_id,
        published_baseline_date as baseline_date,
        false as baseline_is_pending

    from pending_loads

    where published_baseline_batch_id is not null

    union all

    select
        pending_loads.batch_id,
        earlier.batch_id as baseline_batch_id,
        earlier.extract_date as baseline_date,
        true as baseline_is_pending

    from pending_loads

    inner join pending_loads as earlier
        on pending_loads.extract_date > earlier.extract_date

    where
        pending_loads.published_baseline_date is null
        or pending_loads.published_baseline_date > pending_loads.extract_date
        -- on the same date, the pending load replaces the published one
        or pending_loads.published_baseline_date <= earlier.extract_date

),

-- a load on its own (no baseline), and with each possible baseline
comparisons as (

    select
        batch_id,
        cast(null as string) as baseline_batch_id,
        cast(null as date) as baseline_date,
        cast(null as boolean) as baseline_is_pending

    from pending_loads

    union all

    select * from baselines

),

published_baselines as (

    select distinct
        published_baseline_batch_id as batch_id,
        published_baseline_date as extract_date

    from pending_loads

    where published_baseline_batch_id is not null

),

-- customers of rejected rows are not counted: they are not in gold, which observed churn compares
baseline_customers as (

    select
        published_baselines.batch_id,
        false as is_pending,
        published_labels.customer_id

    from published_labels

    inner join published_baselines
        on published_labels.extract_date = published_baselines.extract_date

    union all

    select
        batch_id,
        true as is_pending,
        customer_id

    from labels

),

baseline_counts as (

    select
        baselines.batch_id,
        baselines.baseline_batch_id,
        baselines.baseline_is_pending,
        count(*) as baseline_customers,
        count(labels.customer_id) as customers_in_both

    from baselines

    inner join baseline_customers
        on
            baselines.baseline_batch_id = baseline_customers.batch_id
            and baselines.baseline_is_pending = baseline_customers.is_pending

    left join labels
        on
            baselines.batch_id = labels.batch_id
            and baseline_customers.customer_id = labels.customer_id

    group by
        baselines.batch_id,
        baselines.baseline_batch_id,
        baselines.baseline_is_pending

),

counts as (

    select
        comparisons.batch_id,
        pending_loads.extract_date,
        greatest(feature_counts.built_at, label_counts.built_at) as candidates_built_at,
        comparisons.baseline_batch_id,
        comparisons.baseline_date,
        comparisons.baseline_is_pending,
        pending_loads.row_count,
        load_counts.bronze_rows,
        load_counts.silver_rows,
        load_counts.exact_duplicates,
        load_counts.rejected_rows,
        coalesce(silver_checks.invalid_customers, 0) as invalid_customers,
        coalesce(feature_counts.feature_rows, 0) as feature_rows,
        coalesce(feature_counts.customers, 0) as customers,
        coalesce(feature_counts.customers_out_of_range, 0) as customers_out_of_range,
        range_details.details as out_of_range_details,
        coalesce(label_counts.label_rows, 0) as label_rows,
        coalesce(label_counts.labelled_customers, 0) as labelled_customers,
        coalesce(label_counts.labels, 0) as labels,
        {%- for name, metric in metrics.items() if metric.of in ('features', 'labels') %}
        {{ 'feature' if metric.of == 'features' else 'label' }}_counts.{{ name }},
        {%- endfor %}
        baseline_load_counts.bronze_rows as baseline_bronze_rows,
        -- null if gold should have the extract but does not: nothing can be computed
        coalesce(baseline_counts.baseline_customers, if(comparisons.baseline_is_pending, 0, null))
            as baseline_customers,
        coalesce(baseline_counts.customers_in_both, if(comparisons.baseline_is_pending, 0, null))
            as customers_in_both,
        comparisons.baseline_date < pending_loads.extract_date as baseline_is_earlier

    from comparisons

    inner join pending_loads
        on comparisons.batch_id = pending_loads.batch_id

    left join load_counts
        on comparisons.batch_id = load_counts.batch_id

    left join silver_checks
        on comparisons.batch_id = silver_checks.batch_id

    left join feature_counts
        on comparisons.batch_id = feature_counts.batch_id

    left join range_details
        on comparisons.batch_id = range_details.batch_id

    left join label_counts
        on comparisons.batch_id = label_counts.batch_id

    left join load_counts as baseline_load_counts
        on comparisons.baseline_batch_id = baseline_load_counts.batch_id

    left join baseline_counts
        on
            comparisons.batch_id = baseline_counts.batch_id
            and comparisons.baseline_batch_id = baseline_counts.baseline_batch_id
            and comparisons.baseline_is_pending = baseline_counts.baseline_is_pending

),

-- by date, not by which of the two is the load: a late load is older than its baseline and lacks
-- the customers who joined in between
counts_by_date as (

    select
        *,
        if(baseline_is_earlier, baseline_customers, customers) as earlier_customers,
        if(baseline_is_earlier, customers, baseline_customers) as later_customers

    from counts

),

declared_metrics as (

    select
        batch_id,
        extract_date,
        candidates_built_at,
        baseline_batch_id,
        baseline_date,
        baseline_is_pending,
        inline(if( -- noqa: AL03
            baseline_batch_id is null,
            {%- for compares in [false, true] %}
            array(
                {%- for name, metric in metrics.items() if (metric.of == 'baseline') == compares %}
                named_struct(
                    'metric', '{{ name }}',
                    'value', cast(
                        {{ name if metric.of in ('features', 'labels') else metric.expression }}
                        as double
                    ),
                    'unit', '{{ metric.unit }}',
                    'details', cast({{ metric.get('details', 'null') }} as string)
                ){{ ',' if not loop.last }}
                {%- endfor %}
            ){{ ',' if not loop.last }}
            {%- endfor %}
        ))

    from counts_by_date

),

-- the population stability index
drifts as (

    select
        pending_loads.batch_id,
        pending_loads.extract_date,
        cast(null as timestamp) as candidates_built_at,
        baselines.baseline_batch_id,
        baselines.baseline_date,
        baselines.baseline_is_pending,
        concat('drift_of_', profiles.feature) as metric,
        sum(
            (profiles.share_or_floor - baseline_profiles.share_or_floor)
            * ln(profiles.share_or_floor / baseline_profiles.share_or_floor)
        ) as value,
        'index' as unit,
        cast(null as string) as details

    from baselines

    inner join pending_loads
        on baselines.batch_id = pending_loads.batch_id

    inner join profiles
        on baselines.batch_id = profiles.batch_id

    inner join profiles as baseline_profiles
        on
            baselines.baseline_batch_id = baseline_profiles.batch_id
            and profiles.feature = baseline_profiles.feature
            and profiles.bin = baseline_profiles.bin

    group by
        pending_loads.batch_id,
        pending_loads.extract_date,
        baselines.baseline_batch_id,
        baselines.baseline_date,
        baselines.baseline_is_pending,
        profiles.feature

),

final as (

    select * from declared_metrics

    union all

    select * from drifts

)

select * from final
