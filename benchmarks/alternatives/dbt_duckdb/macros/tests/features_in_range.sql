{% test features_in_range(model) %}
{#- Rows with a feature that is missing, not finite, or outside its declared range. -#}

select * from {{ model }}
where {{ features_out_of_range() }}

{% endtest %}
