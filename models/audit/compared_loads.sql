{{ config(materialized='view', file_format=none) }}

with

judgements as (

    select * from {{ ref('possible_judgements') }}

),

open_loads as (

    select * from {{ ref('open_loads') }}

),

comparisons as (

    select
        batch_id,
        other_extract_date,
        other_is_open,
        other_batch_id,
        bool_or(severity = 'error' and verdict = 'failed') as fails

    from judgements

    where other_batch_id is not null

    group by
        batch_id,
        other_extract_date,
        other_is_open,
        other_batch_id

),

own as (

    select
        batch_id,
        bool_or(severity = 'error' and verdict = 'failed') as fails

    from judgements

    where other_batch_id is null

    group by batch_id

),

-- on the same date, the pending load sorts after the published one, which it replaces if it passes
comparable as (

    select
        batch_id,
        array_sort(
            collect_list(struct(other_extract_date, other_is_open, other_batch_id, fails))
        ) as comparable

    from comparisons

    group by batch_id

),

pending as (

    select
        array_sort(
            collect_list(
                struct(
                    open_loads.extract_date,
                    open_loads.batch_id,
                    coalesce(own.fails, true) as fails,
                    coalesce(comparable.comparable, array()) as comparable
                )
            )
        ) as pending_loads

    from open_loads

    left join own
        on open_loads.batch_id = own.batch_id

    left join comparable
        on open_loads.batch_id = comparable.batch_id

),

-- oldest date first, because a load's baseline depends on which earlier loads have passed: it is
-- the nearest extract before it, otherwise the nearest published one after it
-- noqa: disable=LT02,LT03,AL03
judged_in_order as (

    select
        inline(aggregate(
            pending_loads,
            cast(array() as array<struct<
                batch_id: string, other_batch_id: string, other_extract_date: date,
                other_is_open: boolean, passes: boolean
            >>),
            (judged, mine) -> concat(judged, transform(
                array(coalesce(
                    try_element_at(filter(mine.comparable, other ->
                        other.other_extract_date < mine.extract_date
                        and (
                            not other.other_is_open
                            or exists(judged, each ->
                                each.batch_id = other.other_batch_id and each.passes)
                        )
                    ), -1),
                    get(filter(mine.comparable, other ->
                        other.other_extract_date > mine.extract_date
                        and not other.other_is_open
                    ), 0)
                )),
                chosen -> named_struct(
                    'batch_id', mine.batch_id,
                    'other_batch_id', chosen.other_batch_id,
                    'other_extract_date', chosen.other_extract_date,
                    'other_is_open', chosen.other_is_open,
                    'passes', not (mine.fails or coalesce(chosen.fails, false))
                )
            ))
        ))

    from pending

),
-- noqa: enable=all

final as (

    select
        batch_id,
        other_batch_id,
        other_extract_date,
        other_is_open

    from judged_in_order

)

select * from final
