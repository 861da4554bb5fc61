{# Record the run and user that wrote a table version: each Delta commit carries them as JSON.
   Writers outside dbt use lakehouse/commit_metadata.py; `churn history` reads both. #}


{% macro sign_commits() -%}
    {#- Run before each model, because each model may use its own connection. -#}
    set spark.databricks.delta.commitInfo.userMetadata = {{ tojson({
        'run_id': env_var('CHURN_RUN_ID', '') or invocation_id,
        'user': env_var('CHURN_USER', '') or env_var('USER', ''),
    }) }}
{%- endmacro %}
