{{ config(
    materialized='view',
    file_format=none,
    persist_docs={'relation': true, 'columns': true},
    pre_hook="{{ create_scores_table() }}",
) }}

with

scores as (

    select * from {{ source('scores', 'churn_scores') }}

),

published as (

    select
        extract_date,
        max_by(batch_id, struct(publication_number, published_at)) as batch_id

    from {{ ref('publications') }}

    group by extract_date

),

latest as (

    select
        max(extract_date) as extract_date,
        max_by(batch_id, extract_date) as batch_id

    from published

),

scores_of_latest as (

    select
        scores.*,
        max(scores.scored_at) over () as last_scored_at

    from scores

    inner join latest
        on
            scores.extract_date = latest.extract_date
            and scores._batch_id = latest.batch_id

),

-- the version in use scored last
final as (

    select
        customer_id,
        probability,
        decile,
        try_element_at(reasons, 1).text as reason_1,
        try_element_at(reasons, 2).text as reason_2,
        try_element_at(reasons, 3).text as reason_3,
        model_version,
        scored_at,
        extract_date

    from scores_of_latest

    where scored_at = last_scored_at

)

select * from final
