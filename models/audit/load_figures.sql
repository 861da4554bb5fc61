{{ config(materialized='literal_view', file_format=none) }}

{%- set conditions = silver_conditions(var('source_contract')) %}
{%- set ranges = feature_ranges(var('source_contract')) %}
{%- set metrics = var('gate_metrics') %}

with

open_loads as (

    select * from {{ ref('open_loads') }}

),

loads as (

    select * from {{ source('bronze', 'loads') }}

),

load_counts as (

    select * from {{ ref('load_counts') }}

),

customers as (

    select * from {{ ref('customers') }}

),

features as (

    select * from {{ ref('audit_customer_features') }}

),

labels as (

    select * from {{ ref('audit_churn_labels') }}

),

-- silver's rows are validated against the declared rules again, whichever process wrote them
customer_figures as (

    select
        _batch_id,
        count_if(
            not coalesce(
                {%- for condition in conditions %}
                {{ 'and ' if not loop.first }}{{ condition }}
                {%- endfor %},
                false
            )
        ) as customers_against_rules

    from customers

    where {{ has_date_of('open_loads') }}

    group by _batch_id

),

feature_figures as (

    select
        batch_id,
        count(*) as feature_rows,
        count(distinct customer_id) as customers,
        {%- for name, metric in metrics.items() if metric.of == 'features' %}
        {{ metric.expression }} as {{ name }},
        {%- endfor %}
        max(built_at) as built_at

    from features

    group by batch_id

),

-- no row if all rows of silver meet their rules
out_of_range as (

    select
        batch_id,
        customer_id,
        array(
            {%- for each in ranges if each.feature %}
            named_struct(
                'feature', '{{ each.feature }}',
                'value', cast({{ each.feature }} as double),
                'lowest', cast({{ each.range[0] }} as double),
                'highest', cast({{ each.range[1] }} as double)
            ){{ ',' if not loop.last }}
            {%- endfor %}
        ) as features

    from features

    where {{ features_out_of_range() }}

),

violations as (

    select
        batch_id,
        customer_id,
        inline(filter( -- noqa: AL03
            features, each -> not coalesce(each.value between each.lowest and each.highest, false)
        ))

    from out_of_range

),

violated_features as (

    select
        batch_id,
        feature,
        concat(
            feature, ': ', count(*), ' customers from ',
            coalesce(cast(min(value) as string), 'missing'), ' to ',
            coalesce(cast(max(value) as string), 'missing'),
            ', plausible from ', min(lowest), ' to ', min(highest)
        ) as in_words

    from violations

    group by
        batch_id,
        feature

),

range_details as (

    select
        batch_id,
        array_join(array_sort(collect_list(in_words)), '; ') as features_out_of_range

    from violated_features

    group by batch_id

),

range_figures as (

    select
        batch_id,
        count(*) as customers_out_of_range

    from out_of_range

    group by batch_id

),

label_figures as (

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

final as (

    select
        open_loads.batch_id,
        open_loads.extract_date,
        greatest(feature_figures.built_at, label_figures.built_at) as candidates_built_at,
        {%- set sources = {'features': 'feature_figures.', 'labels': 'label_figures.'} %}
        {%- for name, metric in metrics.items() if metric.of != 'baseline' %}
        cast(
            {{ metric.expression if metric.of == 'load' else sources[metric.of] ~ name }} as double
        ) as {{ name }},
        {%- endfor %}
        range_details.features_out_of_range

    from open_loads

    inner join loads
        on open_loads.batch_id = loads.batch_id

    left join load_counts
        on open_loads.batch_id = load_counts.batch_id

    left join customer_figures
        on open_loads.batch_id = customer_figures._batch_id

    left join range_figures
        on open_loads.batch_id = range_figures.batch_id

    left join range_details
        on open_loads.batch_id = range_details.batch_id

    left join feature_figures
        on open_loads.batch_id = feature_figures.batch_id

    left join label_figures
        on open_loads.batch_id = label_figures.batch_id

)

select * from final
