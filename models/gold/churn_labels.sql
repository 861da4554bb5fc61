{{
    config(
        materialized='published_partitions',
        partition_by='extract_date',
        file_format='parquet',
        full_refresh=false,
    )
}}

{{ passed_candidates(ref('audit_churn_labels')) }}
