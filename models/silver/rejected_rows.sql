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

final as (

    select
        source_row.* except (_extract_date),
        extract_date,
        reasons

    from faulty_rows

)

select * from final
