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

{%- set contract = var('source_contract') %}

with

typed_rows as (

    select * from {{ ref('stg_telco__customers') }}

),

-- counted by a number, which is faster than by two texts; a collision with another customer does no
-- harm, because a row is only compared with rows of its own customer
repeated_keys as (

    select xxhash64(_batch_id, customer_id) as customer_key

    from typed_rows

    group by customer_key

    having count(*) > 1

),

-- few rows have an error or share their customer with another row: only these are compared
suspect_rows as (

    select /*+ broadcast(repeated_keys) */
        typed_rows.*,
        sha2(
            to_json(struct(typed_rows.cells, array_sort(map_entries(typed_rows._extra)) as extra)),
            256
        ) as row_hash

    from typed_rows

    left join repeated_keys
        on xxhash64(typed_rows._batch_id, typed_rows.customer_id) = repeated_keys.customer_key

    where not typed_rows.is_valid or repeated_keys.customer_key is not null

),

-- of exact copies the lowest row is kept; rows with an error of their own are excluded already
copies as (

    select
        *,
        row_number() over (
            partition by _batch_id, customer_id, is_valid, row_hash
            order by _row_number
        ) as duplicate_rank

    from suspect_rows

),

-- of differing rows, the one with the highest values is kept (kept_row); a hash decides ties,
-- so that the order of the rows never does
ranked as (

    select
        *,
        row_number() over (
            partition by _batch_id, customer_id, is_valid and duplicate_rank = 1
            order by
                {%- for column in var('kept_row') %}
                {{ column }} desc,
                {%- endfor %}
                row_hash asc
        ) as rank_in_customer

    from copies

),

rejected as (

    select
        *,
        coalesce(
            errors,
            array(
                {{ reject_reason(
                    "if(duplicate_rank > 1, 'exact_duplicate', 'conflicting_duplicate')",
                    id_column(contract),
                    'customer_id'
                ) }}
            )
        ) as reasons

    from ranked

    where not is_valid or duplicate_rank > 1 or rank_in_customer > 1

),

final as (

    select
        rejected.cells.*,
        rejected._extra,
        rejected._batch_id,
        rejected._source_file,
        rejected._source_sha256,
        rejected._sheet,
        rejected._row_number,
        rejected._loaded_at,
        rejected.extract_date,
        rejected.reasons

    from rejected

)

select * from final
