{{ config(materialized='ephemeral') }}

with

evaluations as (

    select * from {{ ref('int_rule_evaluations') }}

),

-- the rules on a load alone (no baseline), and those on each of its possible baselines
comparisons as (

    select
        batch_id,
        extract_date,
        baseline_date,
        baseline_is_pending,
        baseline_batch_id,
        max(candidates_built_at) as candidates_built_at,
        bool_or(severity = 'error' and verdict = 'failed') as fails,
        collect_list(
            struct(
                rule, value, verdict, baseline_date as compared_with, details, approver, reason
            )
        ) as evaluations

    from evaluations

    group by
        batch_id,
        extract_date,
        baseline_date,
        baseline_is_pending,
        baseline_batch_id

),

-- on the same date, the pending load sorts after the published one, which it replaces if it passes
loads as (

    select
        extract_date,
        batch_id,
        max(candidates_built_at) as candidates_built_at,
        coalesce(bool_or(if(baseline_batch_id is null, fails, null)), true) as fails,
        flatten(collect_list(if(baseline_batch_id is null, evaluations, null))) as evaluations,
        array_sort(
            collect_list(
                if(
                    baseline_batch_id is null,
                    null,
                    struct(
                        baseline_date, baseline_is_pending, baseline_batch_id, fails, evaluations
                    )
                )
            )
        ) as comparisons

    from comparisons

    group by
        extract_date,
        batch_id

),

pending as (

    select
        array_sort(
            collect_list(
                struct(extract_date, batch_id, candidates_built_at, fails, evaluations, comparisons)
            )
        ) as pending_loads

    from loads

),

-- oldest date first, because a load's baseline depends on which earlier loads have passed: it is
-- the nearest extract before it, otherwise the nearest published one after it
-- noqa: disable=LT02,LT03,AL03
evaluated_in_order as (

    select
        inline(aggregate(
            pending_loads,
            cast(array() as array<struct<
                batch_id: string, extract_date: date, candidates_built_at: timestamp,
                baseline_batch_id: string, passes: boolean,
                evaluations: array<struct<
                    rule: string, value: double, verdict: string, compared_with: date,
                    details: string, approver: string, reason: string
                >>
            >>),
            (evaluated, mine) -> concat(evaluated, transform(
                array(coalesce(
                    try_element_at(filter(mine.comparisons, other ->
                        other.baseline_date < mine.extract_date
                        and (
                            not other.baseline_is_pending
                            or exists(evaluated, earlier ->
                                earlier.batch_id = other.baseline_batch_id and earlier.passes)
                        )
                    ), -1),
                    get(filter(mine.comparisons, other ->
                        other.baseline_date > mine.extract_date
                        and not other.baseline_is_pending
                    ), 0)
                )),
                chosen -> named_struct(
                    'batch_id', mine.batch_id,
                    'extract_date', mine.extract_date,
                    'candidates_built_at', mine.candidates_built_at,
                    'baseline_batch_id', chosen.baseline_batch_id,
                    'passes', not (mine.fails or coalesce(chosen.fails, false)),
                    'evaluations', concat(
                        mine.evaluations, coalesce(chosen.evaluations, array())
                    )
                )
            ))
        ))

    from pending

),
-- noqa: enable=all

final as (

    select
        batch_id,
        extract_date,
        candidates_built_at,
        baseline_batch_id,
        passes,
        evaluations

    from evaluated_in_order

)

select * from final
