{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        full_refresh=false,
    )
}}

with

load_figures as (

    select * from {{ ref('load_figures') }}

),

-- a figure that could not be computed is not a figure that holds
judgements as (

    {%- for rule, terms in var('gate_rules').items() %}

    select
        batch_id,
        extract_date,
        candidates_built_at,
        '{{ rule }}' as rule,
        '{{ terms.severity }}' as severity,
        {{ terms.figure }} as figure,
        cast({{ terms.at_most if terms.at_most is defined else terms.at_least }} as double)
            as threshold,
        coalesce(
            {{ terms.figure }}
            {{ '<=' if terms.at_most is defined else '>=' }}
            {{ terms.at_most if terms.at_most is defined else terms.at_least }},
            false
        ) as holds

    from load_figures

    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

final as (

    select
        '{{ env_var("CHURN_RUN_ID", "") or invocation_id }}' as run_id,
        batch_id,
        extract_date,
        rule,
        severity,
        figure,
        threshold,
        case
            when holds then 'passed'
            when severity = 'warn' then 'warned'
            else 'failed'
        end as verdict,
        candidates_built_at,
        '{{ rules_version() }}' as rules_version,
        current_timestamp() as judged_at

    from judgements

)

select * from final
