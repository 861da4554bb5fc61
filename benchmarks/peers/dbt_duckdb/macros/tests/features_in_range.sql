{% test features_in_range(model, of=none) %}
{#- Rows with a feature that is missing, not finite, or outside its declared range. -#}

select * from {{ tested_rows(model, of) }}
where {{ features_out_of_range() }}

{% endtest %}
