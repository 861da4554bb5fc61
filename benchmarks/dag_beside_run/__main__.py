"""Seconds of the DAG `01_etl` beside `churn run`, on the same workbook and one warm Spark server.

    python -m benchmarks.dag_beside_run WORKBOOK [ROUNDS]

The two take turns; each time the workbook is offered as the extract of another day, so that every
step has all its work to do. Prints a table for docs/airflow.md.
"""

import sys
import time
from datetime import date, timedelta
from pathlib import Path

from benchmarks.common import churn, print_table, run_dag
from churn.operations import airflow_server
from lakehouse.settings import read_settings
from tests.integration.airflow_api import Airflow

DAG = "01_etl"


def main(workbook: Path, rounds: int) -> None:
    settings = read_settings()
    days = (date(2024, 1, 1) + timedelta(days=30 * each) for each in range(2 * rounds + 2))
    # what a fresh home and a fresh server do otherwise is not measured
    by_hand(workbook, next(days))
    airflow_server.up(settings, print)
    seconds: dict[str, list[float]] = {"churn run": [], f"DAG {DAG}": []}
    try:
        airflow = Airflow(airflow_server.address(settings), airflow_server.password(settings))
        airflow.switch_on(DAG)
        by_airflow(airflow, workbook, next(days))
        for _ in range(rounds):
            for name, each in seconds.items():
                day, start = next(days), time.monotonic()
                if name == "churn run":
                    by_hand(workbook, day)
                else:
                    by_airflow(airflow, workbook, day)
                each.append(time.monotonic() - start)
                print(name, f"{each[-1]:.1f}", flush=True)
    finally:
        airflow_server.down(settings)
        churn("down")
    print_table("", seconds)


def by_hand(workbook: Path, day: date) -> None:
    churn("run", str(workbook), "--extract-date", str(day))


def by_airflow(airflow: Airflow, workbook: Path, day: date) -> None:
    run_dag(airflow, DAG, f"beside-{day}", workbook=str(workbook), extract_date=str(day))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
