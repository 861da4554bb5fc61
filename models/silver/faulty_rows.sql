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

judged as (

    select
        *,
        coalesce(
            {%- for reason in reasons %}
            {{ reason.code }}{{ ',' if not loop.last }}
            {%- endfor %}
        ) is null as is_sound

    from typed_rows

),

-- counted by a number, which is faster than by two texts; a collision with another customer does no
-- harm, because a row is only compared with rows of its own customer
repeated_keys as (

    select xxhash64(_batch_id, customer_id) as customer_key

    from typed_rows

    group by customer_key

    having count(*) > 1

),

-- few rows have an error or share their customer with another row: only for these are errors listed
-- and rows compared with each other
suspects as (

    select /*+ broadcast(repeated_keys) */ judged.*

    from judged

    left join repeated_keys
        on xxhash64(judged._batch_id, judged.customer_id) = repeated_keys.customer_key

    where not judged.is_sound or repeated_keys.customer_key is not null

),

examined as (

    select
        *,
        filter(
            array(
                {%- for each in reasons %}
                {{ reason(each.code, each.column) }}{{ ',' if not loop.last }}
                {%- endfor %}
            ),
            each -> each.code is not null
        ) as faults,
        sha2(
            to_json(struct(suspects.cells, array_sort(map_entries(suspects._extra)) as extra)), 256
        ) as row_hash

    from suspects

),

-- of exact copies the lowest row is kept; rows with an error of their own are excluded already
copies as (

    select
        *,
        row_number() over (
            partition by _batch_id, customer_id, is_sound, row_hash
            order by _row_number
        ) as copy_number

    from examined

),

-- of differing rows, the one with the longest history of the customer is kept; a hash decides ties,
-- so that the order of the rows never does
contenders as (

    select
        *,
        row_number() over (
            partition by _batch_id, customer_id, is_sound and copy_number = 1
            order by tenure desc, total_charges desc, row_hash asc
        ) as standing

    from copies

),

rejected as (

    select
        *,
        if(
            is_sound,
            array(
                {{ reason(
                    "if(copy_number > 1, 'exact_duplicate', 'conflicting_duplicate')",
                    'customerID',
                    'customer_id'
                ) }}
            ),
            faults
        ) as reasons

    from contenders

    where not is_sound or copy_number > 1 or standing > 1

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
