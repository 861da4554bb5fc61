{{
    config(
        materialized='incremental',
        incremental_strategy='replace_where',
        unique_key='batch_id',
        full_refresh=false,
        on_schema_change='append_new_columns',
    )
}}

{%- set bins = drift_bins() %}

with

features as (

    select * from {{ ref('audit_customer_features') }}

),

-- one scan for all bins
counted as (

    select
        batch_id,
        extract_date,
        count(*) as customers,
        -- of a type of its own: a domain may limit the drift of no feature
        cast(
            array(
                {%- for each in bins %}
                named_struct(
                    'feature', '{{ each.feature }}',
                    'bin', {{ text(each.bin) }},
                    'customers', count_if({{ each.condition }})
                ){{ ',' if not loop.last }}
                {%- endfor %}
            ) as array<struct<feature: string, bin: string, customers: bigint>>
        ) as bins

    from features

    group by
        batch_id,
        extract_date

),

binned as (

    select
        batch_id,
        extract_date,
        customers as all_customers,
        inline(bins) -- noqa: AL03

    from counted

),

final as (

    select
        batch_id,
        extract_date,
        feature,
        bin,
        cast(customers as int) as customers,
        customers / all_customers as share

    from binned

)

select * from final
