"""Links from a task to what it left."""

from typing import Any

from airflow.sdk import BaseOperatorLink

from dags.tasks import run_id_of

# Where the plugin's pages begin (dags/web.py).
PREFIX = "/churn"


class RunReport(BaseOperatorLink):
    """The run's report, which is there when the run has come to its end or was refused."""

    name = "Report of the run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        # Asked for at the end of the task, with the task instance for its key.
        dag_run = ti_key.get_template_context()["dag_run"]
        return f"{PREFIX}/runs/{run_id_of(dag_run)}/report.html"
