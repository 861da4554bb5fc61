"""Month after month into one lake: what the dbt part costs when much has piled up."""

import shutil
import sys
from pathlib import Path

from benchmarks import ours
from benchmarks.cases.full_build import PEERS
from benchmarks.inputs import bronze_rows, dates_of
from benchmarks.measure import Measured, call, measuring


def run(folder: Path, customers: int, months: int) -> dict[str, Measured]:
    """Sides `month 1`, `month 2`, … and the peers, which build all months again."""
    rows = bronze_rows(folder, customers, months)
    found: dict[str, Measured] = {}
    with ours.home(folder / "months") as home:
        home.churn("up")
        for number, day in enumerate(dates_of(rows), 1):
            home.give(sorted(rows.glob(f"{day}*.parquet")))
            found[f"month {number}"] = Measured()
            with measuring(found[f"month {number}"], home.processes):
                home.churn("build")
            print(f"  month {number}: {found[f'month {number}'].seconds[-1]:.1f} s", flush=True)
    for name, module in PEERS.items():
        out = folder / "rebuilt"
        shutil.rmtree(out, ignore_errors=True)
        found[name] = Measured()
        with measuring(found[name]):
            call([sys.executable, "-m", f"benchmarks.peers.{module}", rows, out])
        shutil.rmtree(out)
    return found
