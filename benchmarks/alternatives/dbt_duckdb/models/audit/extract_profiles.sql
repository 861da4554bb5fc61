{%- set bins = drift_bins() %}

with

features as (

    select * from {{ ref('audit_customer_features') }}

),

-- one scan for all bins
counted as (

    select
        batch_id,
        count(*) as all_customers,
        [
            {%- for each in bins %}
            struct_pack(
                feature := '{{ each.feature }}',
                bin := '{{ each.bin }}',
                customers := count_if({{ each.condition }})
            ){{ ',' if not loop.last }}
            {%- endfor %}
        ] as bins

    from features

    group by batch_id

),

binned as (

    select
        batch_id,
        all_customers,
        unnest(bins, max_depth := 2)

    from counted

),

final as (

    select
        batch_id,
        feature,
        bin,
        customers,
        customers / all_customers as share

    from binned

)

select * from final
