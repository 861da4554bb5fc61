with

own_judgements as (

    select * from {{ ref('own_judgements') }}

),

compared_judgements as (

    select * from {{ ref('compared_judgements') }}

),

final as (

    select * from own_judgements

    union all

    select * from compared_judgements

)

select * from final
