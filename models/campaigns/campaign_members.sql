{{ config(materialized='view', file_format=none) }}

with

campaigns as (

    select * from {{ ref('campaigns') }}

),

members as (

    select * from {{ campaign_records('campaign_members') }}

),

outcomes as (

    select
        campaign,
        customer_id,
        max_by(struct(called, reached, accepted, note), record_number) as latest

    from {{ campaign_records('campaign_outcomes') }}

    group by
        campaign,
        customer_id

),

-- no `ref`: a selection such as `load_metrics+` does not build the campaigns
labels as (

    select * from {{ previous_published_labels() }}

),

final as (

    select
        members.campaign,
        members.customer_id,
        members.arm,
        members.stratum,
        members.list_rank,
        members.offer,
        members.cost,
        members.probability,
        members.revenue,
        members.gain,
        outcomes.latest.called,
        outcomes.latest.reached,
        outcomes.latest.accepted,
        outcomes.latest.note,
        -- a customer who is missing from the later extract has left, as in the observed labels
        case
            when campaigns.status = 'closed' then coalesce(labels.churned, 1)
        end as has_left

    from members

    inner join campaigns
        on members.campaign = campaigns.campaign

    left join outcomes
        on
            members.campaign = outcomes.campaign
            and members.customer_id = outcomes.customer_id

    left join labels
        on
            members.customer_id = labels.customer_id
            and campaigns.outcome_extract_date = labels.extract_date

)

select * from final
