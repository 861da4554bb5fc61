-- No load was out of the ordinary.

{{ config(severity='warn') }}

select * from {{ ref('gate_results') }}
where severity = 'warn' and verdict = 'warned'
