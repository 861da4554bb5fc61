"""What the benchmarks of the DAG share."""

import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import call
from tests.integration.airflow_api import Airflow


def churn(*arguments: str) -> None:
    """Call the command line, in silence."""
    call([Path(sys.executable).with_name("churn"), *arguments])


def run_dag(airflow: Airflow, dag: str, run_id: str, **parameters: str) -> None:
    """Run a DAG to its end, which has to be green."""
    airflow.trigger(dag, run_id, **parameters)
    state = airflow.wait(dag, run_id, seconds=1800)
    assert state == "success", airflow.states(dag, run_id)


def print_table(title: str, seconds: Mapping[str, Sequence[float]]) -> None:
    """Medians and single values, for docs/airflow.md."""
    print(f"| {title} | median s | all |\n|---|---|---|")
    for name, each in seconds.items():
        print(f"| {name} | {statistics.median(each):.0f} | {', '.join(f'{s:.0f}' for s in each)} |")
