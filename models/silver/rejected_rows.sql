{{
    config(
        materialized='incremental',
        incremental_strategy='insert_overwrite',
        partition_by='extract_date',
        on_schema_change='append_new_columns',
        full_refresh=false,
    )
}}

-- depends_on: {{ ref('open_loads') }}

with

faulty_rows as (

    select * from {{ ref('faulty_rows') }}

),

source_rows as (

    select * from {{ source('bronze', 'telco_customers') }}
    where {{ has_date_of('faulty_rows', '_extract_date') }}

),

final as (

    select
        source_rows.* except (_extract_date),
        source_rows._extract_date as extract_date,
        faulty_rows.reasons

    from source_rows

    inner join faulty_rows
        on
            source_rows._batch_id = faulty_rows._batch_id
            and source_rows._row_number = faulty_rows._row_number

)

select * from final
