"""Commands, pipeline, reports, provenance and operations of the product.

The subpackages, each of which imports only from those listed below it:

`cli`         command-line interface
`operations`  backup, restore, clean-up, status, and the servers of Airflow, MLflow and the sites
`pipeline`    the complete run, its single steps, and the same steps as Airflow tasks
`reports`     report, front page, dbt docs site, and the workbooks that users get back
`provenance`  trace, history, differences between runs, rebuild of a past run
"""
