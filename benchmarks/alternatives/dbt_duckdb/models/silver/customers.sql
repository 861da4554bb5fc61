with

typed_rows as (

    select * from {{ ref('typed_rows') }}

),

row_faults as (

    select * from {{ ref('row_faults') }}

),

final as (

    select
        _batch_id,
        _row_number,
        extract_date,
        _loaded_at,
        {%- for rule in var('source_contract').values() %}
        {{ rule.name }}{{ ',' if not loop.last }}
        {%- endfor %}

    from typed_rows

    anti join row_faults using (_batch_id, _row_number)

)

select * from final
