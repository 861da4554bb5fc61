{{ config(materialized='table') }}

{%- set contract = var('source_contract') %}

with

loads as (

    select * from {{ ref('open_loads') }}
    where to_clean

),

source_rows as (

    select * from {{ source('bronze', 'telco_customers') }}

),

open_rows as (

    select source_rows.*

    from source_rows

    inner join loads
        on source_rows._batch_id = loads.batch_id

),

-- the workbook's cells are set apart: some bear the name that silver gives to the typed value
typed as (

    select
        _batch_id,
        _row_number,
        _extract_date as extract_date,
        _loaded_at,
        struct(
            {%- for column in contract %}
            {{ adapter.quote(column) }}{{ ',' if not loop.last }}
            {%- endfor %}
        ) as cells,
        {%- for column, rule in contract.items() %}
        {{ typed_value(column, contract) }} as {{ rule.silver }},
        {%- endfor %}
        array_sort(map_entries(_extra)) as extra

    from open_rows

),

faults as (

    select
        * except (cells, extra),
        sha2(to_json(struct(cells, extra)), 256) as row_hash, -- noqa: RF03
        filter(
            array(
                {%- for column in contract %}
                {{ reason(fault_of(column, contract), column) }},
                {%- endfor %}
                {%- for term in row_rule_terms(contract) %}
                {{ reason(fault_by(term), term.column) }}
                {{- ',' if not loop.last }}
                {%- endfor %}
            ),
            each -> each.code is not null
        ) as own_faults

    from typed

),

-- of exact copies the lowest row stays; rows with a fault of their own are out already
copies as (

    select
        *,
        size(own_faults) = 0 as is_sound,
        row_number() over (
            partition by _batch_id, size(own_faults) = 0, row_hash
            order by _row_number
        ) as copy_number

    from faults

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

final as (

    select
        * except (own_faults, is_sound, copy_number, standing, row_hash),
        case
            when not is_sound then own_faults
            when copy_number > 1
                then array({{ reason("'exact_duplicate'", 'customerID', 'customer_id') }})
            when standing > 1
                then array({{ reason("'conflicting_duplicate'", 'customerID', 'customer_id') }})
            else cast(
                array() as array<struct<code: string, column_name: string, value: string>>
            )
        end as reasons

    from contenders

)

select * from final
