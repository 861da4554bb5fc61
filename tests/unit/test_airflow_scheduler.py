"""Airflow's scheduler: what its workers, which are forks of it, find imported."""

import json
import subprocess
import sys

OWN = {"churn", "dags", "feature_repo", "lakehouse", "seeds_loader", "serving", "trainer"}
PROGRAM = """
import json, sys, threading
from churn.operations.airflow_scheduler import import_libraries
import_libraries()
threads = [thread.name for thread in threading.enumerate()]
sys.stdout = sys.__stdout__
print(json.dumps([sorted(sys.modules), threads]))
"""


def test_workers_find_libraries_but_no_code_of_this_project() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True
    )
    modules, threads = json.loads(answer.stdout.splitlines()[-1])
    assert {"feast", "cosmos", "mlflow.tracking", "pyspark.ml.classification"} <= {*modules}
    # A task reads code and domain as they are when it starts, even if the scheduler is older.
    own = {name for name in modules if name.partition(".")[0] in OWN}
    assert own == {"churn", "churn.operations", "churn.operations.airflow_scheduler"}
    assert threads == ["MainThread"], "a fork has no other thread than the one that forked"
