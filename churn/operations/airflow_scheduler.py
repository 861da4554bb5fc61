"""Run Airflow's scheduler with the tasks' libraries imported: its workers are forks of it.

A task's process otherwise imports them itself, which takes longer than most steps. Modules of this
project are not imported here: every task reads the code and the domain as they are when it starts.
"""

import gc
import importlib
import sys

from airflow.__main__ import main

LIBRARIES = (
    "airflow.providers.openlineage.plugins.listener",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "cosmos.operators.watcher",
    "feast.infra.offline_stores.contrib.spark_offline_store.spark",
    "feast.infra.online_stores.redis",
    "matplotlib.figure",
    "mlflow.tracking",
    "pyspark.ml.classification",
    "sklearn.metrics",
)


def import_libraries() -> None:
    """Import the libraries, and exempt their objects from garbage collection in every worker."""
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()


if __name__ == "__main__":
    import_libraries()
    # Airflow shows the command's name in its process titles.
    sys.argv[0] = "airflow"
    main()
