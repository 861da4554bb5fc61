"""`make bench`: run the comparisons in turn; write docs/benchmarks.md and results.json.

make bench ARGS="[--only CASE]... [--customers N] [--rounds N] [--folder DIR]"

A case that is not run keeps the figures of its last run. The data sets are generated once and kept
in the folder. Run it on an idle machine; the load before each case is recorded.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.cases import full_build, job, machines, months, workbook
from benchmarks.measure import Measurement, machine
from benchmarks.report import RESULTS, ratios, write_page

Case: TypeAlias = Callable[[argparse.Namespace], dict[str, Measurement]]
SMALLER = 1_000_000
CASES: dict[str, Case] = {
    "job": lambda args: job.run(args.folder, args.rounds),
    "workbook": lambda args: workbook.run(args.folder, SMALLER, args.rounds),
    "full_1m": lambda args: full_build.run(args.folder, SMALLER, args.rounds),
    "months": lambda args: months.run(args.folder, 200_000, 24),
    "cluster": lambda args: machines.cluster(args.folder, SMALLER),
    "full_10m": lambda args: full_build.run(args.folder, args.customers, 1),
    "cores": lambda args: machines.cores(args.folder, args.customers),
}


def main() -> None:
    """Run the cases, store their figures and write the page."""
    args = _arguments().parse_args()
    args.folder = args.folder.resolve()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"cases": {}}
    for name in args.only or CASES:
        print(f"{name}:", flush=True)
        measured_on = machine()
        sides = CASES[name](args)
        results["cases"][name] = {
            "machine": measured_on,
            "sides": {side: measurement.to_json() for side, measurement in sides.items()},
        }
        if name == "job":
            results["counts"] = job.count(args.folder)
        results["ratios"] = ratios(results["cases"])
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    write_page(results)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=CASES, metavar="CASE")
    parser.add_argument("--customers", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(".churn/benchmarks"))
    return parser


if __name__ == "__main__":
    main()
