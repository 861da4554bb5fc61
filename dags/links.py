"""Define links from a task to its results."""

from typing import Any

from airflow.sdk import BaseOperatorLink

from dags.tasks import run_id_of

# Path prefix of the plugin's pages (dags/web.py).
PREFIX = "/churn"


class RunReport(BaseOperatorLink):
    """Link to the run's report, which exists when the run has completed or was refused."""

    name = "Report of the run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the path of the report of the task's run."""
        # Called at the end of the task, with the task instance as its key.
        dag_run = ti_key.get_template_context()["dag_run"]
        return f"{PREFIX}/runs/{run_id_of(dag_run)}/report.html"
