"""Configure which lineage events Airflow emits: DAG runs, and tasks that read or write data."""

import json

from lakehouse.lineage import lineage_file
from lakehouse.settings import Settings

# Tasks of the DAG `01_etl` that emit events; the code that they call emits the rest. The tasks that
# watch dbt do no work themselves, and dbt emits an event for each of its nodes.
TELLING = "ingest|dbt_producer_watcher|feast_materialize|train_model|score"
# A later rule overrides an earlier one, and a narrower scope overrides a wider one.
POLICY = [
    # Cosmos would report dbt's tables a second time, named after the Thrift endpoint.
    {"scope": {}, "controls": {"emit_task_events": False, "extract_operator_metadata": False}},
    # These DAGs check the landing zone and MLflow every five minutes and mostly find nothing.
    {"scope": {"dag_id": "00_landing"}, "controls": {"emit": False}},
    {"scope": {"dag_id": "02_alias"}, "controls": {"emit": False}},
    {
        "scope": {"dag_id": "01_etl", "task_id": TELLING},
        "match_mode": "regex",
        "controls": {"emit_task_events": True, "extract_operator_metadata": False},
    },
]


def lineage_environment(settings: Settings) -> dict[str, str]:
    """Return Airflow's OpenLineage settings as environment variables.

    Airflow writes its events to the lineage file, and sends them to `OPENLINEAGE_URL` if that is
    set. Variables that are already set in the environment must take precedence.
    """
    transport = {
        "type": "composite",
        "continue_on_failure": True,
        "transports": {
            "file": {
                "type": "lakehouse.lineage_file.LineageFile",
                "log_file_path": str(lineage_file(settings)),
            }
        },
    }
    return {
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "airflow",
        "AIRFLOW__OPENLINEAGE__EMISSION_POLICY": json.dumps(POLICY),
        # A forked child of a task that has used gRPC may hang.
        "AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD": "True",
        "AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "5",
    }
