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

source_rows as (

    select * from {{ source('bronze', 'telco_customers') }}

),

checked_rows as (

    select * from {{ ref('checked_rows') }}

),

rejects as (

    select
        _batch_id,
        _row_number,
        reasons

    from checked_rows

    where size(reasons) > 0

),

final as (

    select
        source_rows.* except (_extract_date),
        source_rows._extract_date as extract_date,
        rejects.reasons

    from source_rows

    inner join rejects
        on
            source_rows._batch_id = rejects._batch_id
            and source_rows._row_number = rejects._row_number

)

select * from final
