{%- set contract = var('source_contract') %}

with

typed_rows as (

    select * from {{ ref('typed_rows') }}

),

own_faults as (

    select
        _batch_id,
        _row_number,
        list_filter(
            [
                {%- for column in contract %}
                {{ reject_reason(cell_error_code(column, contract), column) }},
                {%- endfor %}
                {%- for term in row_rule_terms(contract) %}
                {{ reject_reason(row_rule_error_code(term), term.column) }}{{ ',' if not loop.last }}
                {%- endfor %}
            ],
            lambda each: each.code is not null
        ) as reasons

    from typed_rows

    where not is_sound

),

-- only customers with several rows can have duplicates; there are few
repeated as (

    select
        _batch_id,
        customer_id

    from typed_rows

    group by
        _batch_id,
        customer_id

    having count(*) > 1

),

-- of exact copies the lowest row is kept; rows with an error of their own are excluded already
copies as (

    select
        typed_rows.*,
        row_number() over (
            partition by
                _batch_id,
                {%- for column in contract %}
                {{ raw_cell(column) }}{{ ',' if not loop.last }}
                {%- endfor %}
            order by _row_number
        ) as copy_number

    from typed_rows

    semi join repeated using (_batch_id, customer_id)

    where is_sound

),

-- of differing rows, the one with the longest history of the customer is kept
contenders as (

    select
        *,
        row_number() over (
            partition by _batch_id, customer_id, copy_number = 1
            order by tenure desc, total_charges desc, _row_number asc
        ) as standing

    from copies

),

duplicates as (

    select
        _batch_id,
        _row_number,
        [
            {{ reject_reason(
                "if(copy_number > 1, 'exact_duplicate', 'conflicting_duplicate')",
                'customerID',
                'customer_id'
            ) }}
        ] as reasons

    from contenders

    where copy_number > 1 or standing > 1

),

final as (

    select * from own_faults

    union all

    select * from duplicates

)

select * from final
