{{ config(materialized='literal_view', file_format=none, meta={'rows': 'one'}) }}

with

pending_loads as (

    select * from {{ ref('pending_loads') }}

),

final as (

    select
        array_sort(collect_set(extract_date)) as extract_dates,
        array_sort(collect_set(if(to_clean, extract_date, null))) as dates_to_clean,
        array_sort(collect_set(published_baseline_date)) as published_baseline_dates

    from pending_loads

)

select * from final
