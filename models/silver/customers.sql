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

checked_rows as (

    select * from {{ ref('checked_rows') }}

),

final as (

    select * except (reasons)

    from checked_rows

    where size(reasons) = 0

)

select * from final
