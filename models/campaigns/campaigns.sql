{{ config(materialized='view', file_format=none) }}

with

started as (

    select * from {{ campaign_records('campaigns') }}

),

members as (

    select
        campaign,
        count_if(arm = 'contacted') as contacted,
        count_if(arm = 'control') as control,
        sum(if(arm = 'contacted', cost, 0)) as planned_cost,
        sum(if(arm = 'contacted', gain, 0)) as expected_gain

    from {{ campaign_records('campaign_members') }}

    group by campaign

),

outcomes as (

    select
        campaign,
        max(record_number) as records,
        max(recorded_at) as recorded_at

    from {{ campaign_records('campaign_outcomes') }}

    group by campaign

),

closings as (

    select * from {{ campaign_records('campaign_closings') }}

),

final as (

    select
        started.campaign,
        case
            when closings.campaign is not null then 'closed'
            when outcomes.campaign is not null then 'recorded'
            else 'running'
        end as status,
        started.extract_date,
        started.model_version,
        started.started_at,
        started.request,
        started.seed,
        started.control_share,
        started.contact_cost,
        started.assumed_effect,
        members.contacted,
        members.control,
        members.planned_cost,
        members.expected_gain,
        coalesce(outcomes.records, 0) as records,
        outcomes.recorded_at,
        closings.extract_date as outcome_extract_date,
        closings.closed_at

    from started

    inner join members
        on started.campaign = members.campaign

    left join outcomes
        on started.campaign = outcomes.campaign

    left join closings
        on started.campaign = closings.campaign

)

select * from final
