{{ config(materialized='view', file_format=none) }}

select * from {{ gate_rules_table() }}
    as gate_rules (
        rule, severity, metric, min_allowed, max_allowed, description, direction, unit
    )
