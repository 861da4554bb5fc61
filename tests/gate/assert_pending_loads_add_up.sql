-- Every row of a pending load is in silver or among the rejects, exactly once.
--
-- A failure is a load whose counts differ: rows were lost or duplicated between the sheet and
-- silver. The error is in the cleaning models or in the loader, not in the workbook; compare
-- bronze.telco_customers with silver.customers and silver.rejected_rows by _batch_id and
-- _row_number. Gold is unchanged.
--
-- The test depends on the verdicts so that it runs after them: the gate must have recorded its own
-- result before this test stops the build.
--
-- depends_on: {{ ref('load_verdicts') }}

with

pending_loads as (

    select * from {{ ref('pending_loads') }}

),

load_counts as (

    select * from {{ ref('load_counts') }}

),

final as (

    select
        load_counts.batch_id,
        load_counts.extract_date,
        pending_loads.row_count as sheet_rows,
        load_counts.bronze_rows,
        load_counts.silver_rows,
        load_counts.exact_duplicates,
        load_counts.rejected_rows

    from pending_loads

    inner join load_counts
        on pending_loads.batch_id = load_counts.batch_id

    where
        pending_loads.row_count != load_counts.bronze_rows
        or load_counts.bronze_rows
        != load_counts.silver_rows + load_counts.exact_duplicates + load_counts.rejected_rows

)

select * from final
