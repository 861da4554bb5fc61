{%- set floor = var('drift').floor %}

with

loads as (

    select * from {{ ref('loads') }}

),

own_judgements as (

    select * from {{ ref('own_judgements') }}

),

profiles as (

    select
        *,
        -- an empty bin would make the index infinite
        greatest(share, {{ floor }}) as share_or_floor

    from {{ ref('extract_profiles') }}

),

passed_loads as (

    select loads.*

    from loads

    anti join (
        select * from own_judgements
        where severity = 'error' and verdict = 'failed'
    ) as failures
        on loads.batch_id = failures.batch_id

),

-- the nearest earlier extract that has passed on its own
pairs as (

    select
        loads.batch_id,
        loads.extract_date,
        loads.bronze_rows,
        others.batch_id as other_batch_id,
        others.bronze_rows as other_bronze_rows

    from loads

    asof join passed_loads as others
        on loads.extract_date > others.extract_date

),

changes_of_rows as (

    select
        batch_id,
        extract_date,
        'change_of_rows' as metric,
        bronze_rows / other_bronze_rows - 1 as value

    from pairs

),

-- the population stability index
drifts as (

    select
        pairs.batch_id,
        pairs.extract_date,
        'drift_of_' || profiles.feature as metric,
        sum(
            (profiles.share_or_floor - other_profiles.share_or_floor)
            * ln(profiles.share_or_floor / other_profiles.share_or_floor)
        ) as value

    from pairs

    inner join profiles
        on pairs.batch_id = profiles.batch_id

    inner join profiles as other_profiles
        on
            pairs.other_batch_id = other_profiles.batch_id
            and profiles.feature = other_profiles.feature
            and profiles.bin = other_profiles.bin

    group by
        pairs.batch_id,
        pairs.extract_date,
        profiles.feature

),

figures as (

    select * from changes_of_rows

    union all

    select * from drifts

),

final as (

    {{ judgements_on('figures') }}

)

select * from final
