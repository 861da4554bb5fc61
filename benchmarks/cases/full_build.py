"""Silver, gate and gold of many customers, from rows that lie in bronze."""

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import ours
from benchmarks.agreement import differences
from benchmarks.inputs import bronze_rows
from benchmarks.measure import Measured, call, in_turns, measuring

PEERS = {"dbt on DuckDB": "dbt_duckdb_run"}


def run(
    folder: Path, customers: int, rounds: int, peers: Mapping[str, str] = PEERS
) -> dict[str, Measured]:
    """Sides `ours` and the peers, each from the start of its own process, servers included.

    Raises:
        AssertionError: the sides do not agree on gold; figures of other work say nothing.
    """
    rows = bronze_rows(folder, customers)
    kept = folder / "peer"
    with ours.home(folder / "build") as home:
        home.churn("up")
        home.give(sorted(rows.glob("*.parquet")))
        home.churn("down")

        def by_us(into: Measured) -> None:
            with measuring(into, home.processes):
                home.churn("build", "--rebuild")
            # Its memory is the next side's, and the next round starts a server too.
            home.churn("down")

        def by(module: str) -> Callable[[Measured], None]:
            def side(into: Measured) -> None:
                shutil.rmtree(kept, ignore_errors=True)
                with measuring(into):
                    call([sys.executable, "-m", f"benchmarks.peers.{module}", rows, kept])
                assert not (found := differences(home.lake, kept)), (module, found)

            return side

        try:
            return in_turns({"ours": by_us, **{name: by(m) for name, m in peers.items()}}, rounds)
        finally:
            shutil.rmtree(kept, ignore_errors=True)
