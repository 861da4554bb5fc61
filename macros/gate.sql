{# SQL that the published tables share. #}


{% macro passed_candidates(candidates) %}
{#- The rows to publish: the candidates of the passed loads that the verdict evaluated. -#}

with

candidates as (

    select * from {{ candidates }}

),

passed_loads as (

    select * from {{ ref('load_verdicts') }}
    where verdict = 'passed'

),

final as (

    select candidates.* except (batch_id, built_at)

    from candidates

    -- a verdict on earlier candidates does not apply to rebuilt ones
    inner join passed_loads
        on
            candidates.batch_id = passed_loads.batch_id
            and candidates.built_at <= passed_loads.candidates_built_at

)

select * from final

{% endmacro %}
