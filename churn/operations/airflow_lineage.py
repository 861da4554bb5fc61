"""How Airflow tells its lineage: runs of the DAG, and its tasks that read or write data."""

import json

from lakehouse.lineage import lineage_file
from lakehouse.settings import Settings

# What a task of the DAG `01_etl` calls tells the rest. The tasks that watch dbt do nothing
# themselves, and dbt tells of each of its nodes.
TELLING = "ingest|dbt_producer_watcher|feast_materialize|train_model|score"
# The later rule counts, the narrower one more.
POLICY = [
    # Cosmos would name dbt's tables a second time, after the Thrift door.
    {"scope": {}, "controls": {"emit_task_events": False, "extract_operator_metadata": False}},
    # It looks every five minutes, and mostly finds nothing.
    {"scope": {"dag_id": "00_landing"}, "controls": {"emit": False}},
    {
        "scope": {"dag_id": "01_etl", "task_id": TELLING},
        "match_mode": "regex",
        "controls": {"emit_task_events": True, "extract_operator_metadata": False},
    },
]


def lineage_environment(settings: Settings) -> dict[str, str]:
    """Airflow's configuration of it: into the lineage file, and to `OPENLINEAGE_URL` if it is set.

    Where the environment has a setting of its own, that one is to count.
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
        # A fork of a task that has used gRPC may hang.
        "AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD": "True",
        "AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "5",
    }
