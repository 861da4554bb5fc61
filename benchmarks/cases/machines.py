"""The full build on one core and on two, and on a cluster of two workers on this machine."""

from pathlib import Path

from cluster import spark_cluster

from benchmarks import ours
from benchmarks.inputs import bronze_rows
from benchmarks.measure import Measured, call, measuring


def cores(folder: Path, customers: int) -> dict[str, Measured]:
    """Sides `1 core` and `2 cores`."""
    found = {"1 core": Measured(), "2 cores": Measured()}
    with ours.home(folder / "cores") as home:
        _fill(home, folder, customers)
        for name, into in found.items():
            home.churn("down")
            held = ["taskset", "--cpu-list", "0" if name == "1 core" else "0,1"]
            with measuring(into, home.processes):
                call([*held, ours.BIN / "churn", "build", "--rebuild"], home.environ)
            print(f"  {name}: {into.seconds[-1]:.1f} s", flush=True)
    return found


def cluster(folder: Path, customers: int) -> dict[str, Measured]:
    """Sides `local` and `two workers`, of a core each."""
    found = {"local": Measured(), "two workers": Measured()}
    servers = folder / "cluster"
    servers.mkdir(exist_ok=True)
    with spark_cluster(servers) as workers:
        masters = {"local": "local[*]", "two workers": workers.master}
        for name, into in found.items():
            with ours.home(folder / "spread", CHURN_SPARK_MASTER=masters[name]) as home:
                _fill(home, folder, customers)
                home.churn("down")
                with measuring(into, home.processes):
                    home.churn("build", "--rebuild")
            print(f"  {name}: {into.seconds[-1]:.1f} s", flush=True)
    return found


def _fill(home: ours.ChurnHome, folder: Path, customers: int) -> None:
    home.churn("up")
    home.give(sorted(bronze_rows(folder, customers).glob("*.parquet")))
