"""The full build on one core and on two, and on a cluster of two workers on this machine."""

from pathlib import Path

from cluster import spark_cluster

from benchmarks import churn_pipeline
from benchmarks.inputs import bronze_rows
from benchmarks.measure import Measurement, call, measuring


def cores(folder: Path, customers: int) -> dict[str, Measurement]:
    """Measure the sides `1 core` and `2 cores`."""
    sides = {"1 core": ("0", Measurement()), "2 cores": ("0,1", Measurement())}
    with churn_pipeline.home(folder / "cores") as home:
        _fill(home, folder, customers)
        for name, (cpus, measurement) in sides.items():
            home.churn("down")
            pinned = ["taskset", "--cpu-list", cpus, churn_pipeline.CHURN]
            with measuring(measurement, home.processes):
                call([*pinned, "build", "--rebuild"], home.environ)
            print(f"  {name}: {measurement.seconds[-1]:.1f} s", flush=True)
    return {name: measurement for name, (_, measurement) in sides.items()}


def cluster(folder: Path, customers: int) -> dict[str, Measurement]:
    """Measure the sides `local` and `two workers`, which have one core each."""
    measurements = {"local": Measurement(), "two workers": Measurement()}
    servers = folder / "cluster"
    servers.mkdir(exist_ok=True)
    with spark_cluster(servers) as workers:
        masters = {"local": "local[*]", "two workers": workers.master}
        for name, measurement in measurements.items():
            master = {"CHURN_SPARK_MASTER": masters[name]}
            with churn_pipeline.home(folder / "spread", **master) as home:
                _fill(home, folder, customers)
                home.churn("down")
                with measuring(measurement, home.processes):
                    home.churn("build", "--rebuild")
            print(f"  {name}: {measurement.seconds[-1]:.1f} s", flush=True)
    return measurements


def _fill(home: churn_pipeline.ChurnHome, folder: Path, customers: int) -> None:
    home.churn("up")
    home.load(sorted(bronze_rows(folder, customers).glob("*.parquet")))
