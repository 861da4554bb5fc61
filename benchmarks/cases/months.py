"""One month after another in one lake: the duration of the dbt part as the history grows."""

import shutil
import sys
from pathlib import Path

from benchmarks import churn_pipeline
from benchmarks.cases.full_build import ALTERNATIVES
from benchmarks.inputs import bronze_rows, dates_of
from benchmarks.measure import Measurement, call, measuring


def run(folder: Path, customers: int, months: int) -> dict[str, Measurement]:
    """Measure the sides `month 1`, `month 2`, …, and the alternatives, which rebuild all months."""
    rows = bronze_rows(folder, customers, months)
    sides: dict[str, Measurement] = {}
    with churn_pipeline.home(folder / "months") as home:
        home.churn("up")
        for number, day in enumerate(dates_of(rows), 1):
            home.load(sorted(rows.glob(f"{day}*.parquet")))
            sides[f"month {number}"] = Measurement()
            with measuring(sides[f"month {number}"], home.processes):
                home.churn("build")
            print(f"  month {number}: {sides[f'month {number}'].seconds[-1]:.1f} s", flush=True)
    for name, module in ALTERNATIVES.items():
        output = folder / "rebuilt"
        shutil.rmtree(output, ignore_errors=True)
        sides[name] = Measurement()
        with measuring(sides[name]):
            call([sys.executable, "-m", f"benchmarks.alternatives.{module}", rows, output])
        shutil.rmtree(output)
    return sides
