"""`make bench`: every comparison, one after another; figures into docs and results.json.

make bench ARGS="[--only CASE]... [--customers N] [--rounds N] [--folder DIR]"

A case that is not run keeps the figures of its last run. The sets are made once and kept in the
folder. Run it on a machine that does nothing else: the load before it is written down.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.cases import full_build, machines, months, workbook
from benchmarks.measure import Measured, machine
from benchmarks.report import RESULTS, ratios, write_page

Case: TypeAlias = Callable[[argparse.Namespace], dict[str, Measured]]
SMALLER = 1_000_000
CASES: dict[str, Case] = {
    "workbook": lambda told: workbook.run(told.folder, SMALLER, told.rounds),
    "full_1m": lambda told: full_build.run(told.folder, SMALLER, told.rounds),
    "months": lambda told: months.run(told.folder, 200_000, 24),
    "cluster": lambda told: machines.cluster(told.folder, SMALLER),
    "full_10m": lambda told: full_build.run(told.folder, told.customers, 1),
    "cores": lambda told: machines.cores(told.folder, told.customers),
}


def main() -> None:
    """Run the cases, keep their figures, write the page."""
    told = _arguments().parse_args()
    told.folder = told.folder.resolve()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"cases": {}}
    for name in told.only or CASES:
        print(f"{name}:", flush=True)
        where = machine()
        sides = CASES[name](told)
        results["cases"][name] = {
            "machine": where,
            "sides": {side: measured.told() for side, measured in sides.items()},
        }
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
