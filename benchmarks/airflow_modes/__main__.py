"""Seconds of the dbt part in Airflow by Cosmos's modes, beside `churn build` by itself.

    python -m benchmarks.airflow_modes [ROUNDS]

Each is given one new month of the sample a round, in turns, on one warm Spark server and one
Airflow. Prints a table for docs/airflow.md.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from benchmarks.common import churn, print_table, run_dag
from churn.operations import airflow_server
from lakehouse.settings import Settings, read_settings
from seeds_loader.sample import SampleParameters, write_samples
from tests.integration.airflow_api import Airflow

MODES = ["watcher", "local_build", "local_after_each"]
BY_ITSELF = "churn build"


def main(rounds: int) -> None:
    settings = read_settings()
    with tempfile.TemporaryDirectory() as folder:
        months = iter(
            write_samples(
                SampleParameters(months=1 + rounds * (len(MODES) + 1), start=date(2024, 1, 1)),
                Path(folder),
            )
        )
        # what the first build of a fresh home does otherwise is not measured
        load(next(months))
        churn("build", "--exclude-resource-type", "unit_test")
        airflow_server.up(settings, print, dags=Path(__file__).parent)
        try:
            seconds = measure(settings, months, rounds)
        finally:
            churn("down")
    print_table("Mode", seconds)


def measure(settings: Settings, months: Iterator[Path], rounds: int) -> dict[str, list[float]]:
    airflow = Airflow(airflow_server.address(settings), airflow_server.password(settings))
    seconds: dict[str, list[float]] = {name: [] for name in (BY_ITSELF, *MODES)}
    for mode in MODES:
        airflow.switch_on(mode)
    for number in range(rounds):
        for name, each in seconds.items():
            load(next(months))
            start = time.monotonic()
            if name == BY_ITSELF:
                churn("build", "--exclude-resource-type", "unit_test")
            else:
                run_dag(airflow, name, f"round-{number}")
            each.append(time.monotonic() - start)
            print(name, f"{each[-1]:.1f}", flush=True)
    return seconds


def load(month: Path) -> None:
    churn("ingest", str(month))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
