"""The product around the data stages.

Packages, each of which imports only those below it:

`cli`         the commands
`operations`  backup, restore, clean-up, status, the servers of Airflow, MLflow and the sites
`pipeline`    the whole job, its single steps, and the same steps as Airflow tasks
`reports`     report, front page, dbt docs site, and the workbooks that people get back
`provenance`  trace, history, differences between runs, a past run rebuilt
"""
