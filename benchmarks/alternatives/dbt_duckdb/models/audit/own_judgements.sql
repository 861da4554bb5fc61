with

load_figures as (

    select * from {{ ref('load_figures') }}

),

figures as (

    select * from load_figures
    unpivot include nulls (
        value for metric in (columns(* exclude (batch_id, extract_date)))
    )

),

final as (

    {{ judgements_on('figures') }}

)

select * from final
