{# Who wrote a version of a table: each commit of Delta carries a text of ours, as JSON. What is not
   dbt's signs its commits in lakehouse/commit_metadata.py; `churn history` reads both. #}


{% macro sign_commits() -%}
    {#- Once before each model, since every model may be built over a connection of its own. -#}
    set spark.databricks.delta.commitInfo.userMetadata = {{ tojson({
        'run_id': env_var('CHURN_RUN_ID', '') or invocation_id,
        'user': env_var('CHURN_USER', '') or env_var('USER', ''),
    }) }}
{%- endmacro %}
