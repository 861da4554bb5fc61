{{
    config(
        materialized='incremental',
        incremental_strategy='replace_where',
        unique_key='extract_date',
        partition_by='extract_date',
        on_schema_change='append_new_columns',
        full_refresh=false,
    )
}}

with

pending_dates as (

    select * from {{ ref('pending_dates') }}

),

typed_rows as (

    select * from {{ ref('stg_telco__customers') }}

),

rejected_rows as (

    select * from {{ ref('rejected_rows') }}
    where array_contains((select pending_dates.dates_to_clean from pending_dates), extract_date)

),

final as (

    select
        typed_rows.* except (
            cells, _extra, _source_file, _source_sha256, _sheet, is_valid, errors
        )

    from typed_rows

    left anti join rejected_rows
        on
            typed_rows._batch_id = rejected_rows._batch_id
            and typed_rows._row_number = rejected_rows._row_number

)

select * from final
