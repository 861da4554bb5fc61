"""Silver, gate and gold of many customers, from rows in bronze."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import churn_pipeline
from benchmarks.inputs import bronze_rows
from benchmarks.measure import Measurement, call, in_turns, measuring
from benchmarks.result_check import differences

# Modules below benchmarks/alternatives, by the name of their side.
ALTERNATIVES = {"dbt on DuckDB": "dbt_duckdb_run"}


def run(folder: Path, customers: int, rounds: int) -> dict[str, Measurement]:
    """Measure the side `churn` and the alternatives, each including the start of its processes.

    Raises:
        AssertionError: If the sides do not produce the same gold.
    """
    rows = bronze_rows(folder, customers)
    output = folder / "alternative"
    with churn_pipeline.home(folder / "build") as home:
        home.churn("up")
        home.load(sorted(rows.glob("*.parquet")))
        home.churn("down")

        def churn(into: Measurement) -> None:
            with measuring(into, home.processes):
                home.churn("build", "--rebuild")
            # The next side needs the memory, and every round includes a start of the server.
            home.churn("down")

        def alternative(module: str) -> Callable[[Measurement], None]:
            def side(into: Measurement) -> None:
                shutil.rmtree(output, ignore_errors=True)
                with measuring(into):
                    call([sys.executable, "-m", f"benchmarks.alternatives.{module}", rows, output])
                assert not (differing := differences(home.lake, output)), (module, differing)

            return side

        others = {name: alternative(module) for name, module in ALTERNATIVES.items()}
        try:
            return in_turns({"churn": churn, **others}, rounds)
        finally:
            shutil.rmtree(output, ignore_errors=True)
