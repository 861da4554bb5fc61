{{
    config(
        materialized='incremental',
        incremental_strategy='insert_overwrite',
        partition_by='extract_date',
        on_schema_change='append_new_columns',
        full_refresh=false,
    )
}}

with

typed_rows as (

    {{ typed_open_rows() | indent(4) }}

),

faulty_rows as (

    select * from {{ ref('faulty_rows') }}

),

final as (

    select typed_rows.* except (cells, _extra, _source_file, _source_sha256, _sheet)

    from typed_rows

    left anti join faulty_rows
        on
            typed_rows._batch_id = faulty_rows._batch_id
            and typed_rows._row_number = faulty_rows._row_number

)

select * from final
