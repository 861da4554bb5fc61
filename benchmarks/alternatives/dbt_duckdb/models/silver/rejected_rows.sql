with

source_rows as (

    select * from {{ source('bronze', 'telco_customers') }}

),

row_faults as (

    select * from {{ ref('row_faults') }}

),

final as (

    select
        source_rows.* exclude (_extract_date),
        source_rows._extract_date as extract_date,
        row_faults.reasons

    from source_rows

    inner join row_faults
        on
            source_rows._batch_id = row_faults._batch_id
            and source_rows._row_number = row_faults._row_number

)

select * from final
