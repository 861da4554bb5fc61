with

source_rows as (

    select * from {{ source('bronze', 'telco_customers') }}

),

batches as (

    select
        _batch_id as batch_id,
        _extract_date as extract_date,
        max(_loaded_at) as loaded_at,
        count(*) as bronze_rows

    from source_rows

    group by
        _batch_id,
        _extract_date

),

-- a later load of a date replaces the earlier ones
final as (

    select * from batches

    qualify row_number() over (
        partition by extract_date
        order by loaded_at desc, batch_id asc
    ) = 1

)

select * from final
