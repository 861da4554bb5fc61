-- No load was unusual.

{{ config(severity='warn') }}

select * from {{ ref('gate_results') }}
where severity = 'warn' and verdict = 'warned'
