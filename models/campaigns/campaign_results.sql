{{ config(materialized='view', file_format=none) }}

{#- The quantile of the normal distribution for intervals of 95 %, and that for a power of 80 %. -#}
{%- set z = '1.959963984540054d' %}
{%- set z_power = '0.8416212335729143d' %}

with

campaigns as (

    select * from {{ ref('campaigns') }}

),

members as (

    select * from {{ ref('campaign_members') }}

),

-- everyone who was to be called, as drawn by lot, and only those who were reached, who chose to be
compared as (

    select
        'intention_to_treat' as analysis,
        *

    from members

    where has_left is not null

    union all

    select
        'per_protocol' as analysis,
        *

    from members

    where
        has_left is not null
        and (arm = 'control' or reached)

),

counts as (

    select
        compared.campaign,
        compared.analysis,
        count_if(compared.arm = 'contacted') as contacted,
        count_if(compared.arm = 'contacted' and compared.has_left = 1) as contacted_left,
        count_if(compared.arm = 'control') as control,
        count_if(compared.arm = 'control' and compared.has_left = 1) as control_left,
        sum(if(compared.arm = 'contacted', compared.revenue, 0)) as revenue,
        -- the cost as planned, if nothing was recorded
        sum(
            case
                when compared.arm = 'control' then 0
                when campaigns.records = 0 or compared.accepted then compared.cost
                when compared.called then campaigns.contact_cost
                else 0
            end
        ) as costs

    from compared

    inner join campaigns
        on compared.campaign = campaigns.campaign

    group by
        compared.campaign,
        compared.analysis

),

rates as (

    select
        *,
        contacted_left / contacted as contacted_rate,
        control_left / control as control_rate

    from counts

    where
        contacted > 0
        and control > 0

),

-- Wilson's interval of each rate
intervals as (

    select
        *,
        (contacted_rate + {{ z }} * {{ z }} / (2 * contacted)) / (1 + {{ z }} * {{ z }} / contacted)
            as contacted_middle,
        {{ z }} / (1 + {{ z }} * {{ z }} / contacted) * sqrt(
            contacted_rate * (1 - contacted_rate) / contacted
            + {{ z }} * {{ z }} / (4 * contacted * contacted)
        ) as contacted_half,
        (control_rate + {{ z }} * {{ z }} / (2 * control)) / (1 + {{ z }} * {{ z }} / control)
            as control_middle,
        {{ z }} / (1 + {{ z }} * {{ z }} / control) * sqrt(
            control_rate * (1 - control_rate) / control
            + {{ z }} * {{ z }} / (4 * control * control)
        ) as control_half

    from rates

),

-- Newcombe's interval of their difference (Statistics in Medicine 17, 873 to 890, method 10)
effects as (

    select
        *,
        control_rate - contacted_rate as effect,
        control_rate - contacted_rate - sqrt(
            pow(control_rate - control_middle + control_half, 2)
            + pow(contacted_middle + contacted_half - contacted_rate, 2)
        ) as effect_low,
        control_rate - contacted_rate + sqrt(
            pow(control_middle + control_half - control_rate, 2)
            + pow(contacted_rate - contacted_middle + contacted_half, 2)
        ) as effect_high

    from intervals

),

final as (

    select
        effects.campaign,
        effects.analysis,
        effects.contacted,
        effects.contacted_left,
        effects.control,
        effects.control_left,
        effects.contacted_rate,
        effects.control_rate,
        effects.effect,
        effects.effect_low,
        effects.effect_high,
        try_divide(effects.effect, effects.control_rate) as retention_rate,
        try_divide(effects.effect_low, effects.control_rate) as retention_rate_low,
        try_divide(effects.effect_high, effects.control_rate) as retention_rate_high,
        effects.costs,
        effects.effect * effects.revenue - effects.costs as saved,
        effects.effect_low * effects.revenue - effects.costs as saved_low,
        effects.effect_high * effects.revenue - effects.costs as saved_high,
        -- with this share of control customers, and an effect as large as the measured one
        if(effects.effect > 0, ceil(
            pow({{ z }} + {{ z_power }}, 2) * (
                effects.control_rate * (1 - effects.control_rate) / campaigns.control_share
                + effects.contacted_rate * (1 - effects.contacted_rate)
                / (1 - campaigns.control_share)
            )
            / (effects.effect * effects.effect)
        ), null) as customers_needed

    from effects

    inner join campaigns
        on effects.campaign = campaigns.campaign

)

select * from final
