{{ config(materialized='table') }}

{%- set contract = var('source_contract') %}
{%- set reasons = [] %}
{%- for column in contract %}
{%- do reasons.append({'code': fault_of(column, contract), 'column': column}) %}
{%- endfor %}
{%- for term in row_rule_terms(contract) %}
{%- do reasons.append({'code': fault_by(term), 'column': term.column}) %}
{%- endfor %}

with

typed_rows as (

    {{ typed_open_rows() | indent(4) }}

),

-- few rows have a fault: the list of all that is wrong is made for those alone
judged as (

    select
        *,
        coalesce(
            {%- for reason in reasons %}
            {{ reason.code }}{{ ',' if not loop.last }}
            {%- endfor %}
        ) as first_fault

    from typed_rows

),

faulty as (

    select
        judged._batch_id,
        judged._row_number,
        judged.extract_date,
        filter(
            array(
                {%- for each in reasons %}
                {{ reason(each.code, each.column) }}{{ ',' if not loop.last }}
                {%- endfor %}
            ),
            each -> each.code is not null
        ) as reasons

    from judged

    where judged.first_fault is not null

),

-- few customers have more than one row: rows are compared with each other for those alone
repeated_ids as (

    select
        _batch_id,
        customer_id

    from typed_rows

    group by
        _batch_id,
        customer_id

    having count(*) > 1

),

repeated as (

    select /*+ broadcast(repeated_ids) */
        judged._batch_id,
        judged._row_number,
        judged.extract_date,
        judged.customer_id,
        judged.tenure,
        judged.total_charges,
        judged.first_fault is null as is_sound,
        sha2(to_json(struct(judged.cells, judged.extra)), 256) as row_hash

    from judged

    inner join repeated_ids
        on
            judged._batch_id = repeated_ids._batch_id
            and judged.customer_id = repeated_ids.customer_id

),

-- of exact copies the lowest row stays; rows with a fault of their own are out already
copies as (

    select
        *,
        row_number() over (
            partition by _batch_id, customer_id, is_sound, row_hash
            order by _row_number
        ) as copy_number

    from repeated

),

-- of rows that differ, the one that has seen most of the customer's history stays; the hash
-- decides the rest, so that the order of the rows never does
contenders as (

    select
        *,
        row_number() over (
            partition by _batch_id, customer_id, is_sound and copy_number = 1
            order by tenure desc, total_charges desc, row_hash asc
        ) as standing

    from copies

),

duplicates as (

    select
        _batch_id,
        _row_number,
        extract_date,
        array(
            {{ reason(
                "if(copy_number > 1, 'exact_duplicate', 'conflicting_duplicate')",
                'customerID',
                'customer_id'
            ) }}
        ) as reasons

    from contenders

    -- one condition, which can only be asked here: with `is_sound` by itself Spark would look for
    -- the faults of all rows before it compares the few
    where case when is_sound then copy_number > 1 or standing > 1 end

),

final as (

    select * from faulty

    union all

    select * from duplicates

)

select * from final
