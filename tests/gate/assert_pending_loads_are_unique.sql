-- A load is listed once, and at most one load of an extract date is pending.
--
-- A failure is a key with several rows, or a load without an id. Two processes have written to
-- bronze.loads at the same time, or the model of the pending loads is wrong. Nothing was built.

with

repeated_loads as (

    select
        'bronze.loads' as tested_table,
        batch_id as row_key,
        count(*) as rows_of_key

    from {{ source('bronze', 'loads') }}

    group by batch_id

    having count(*) > 1 or batch_id is null

),

final as (

    select
        tested_table,
        row_key,
        'one row per key' as rule,
        rows_of_key

    from repeated_loads

    union all

    {{
        violations(
            'pending_loads', ['extract_date'], complete=['batch_id', 'extract_date', 'to_clean']
        ) | indent(4)
    }}

)

select * from final
