"""`make measure-erasure`: measure how long erasures take beyond the start of the Spark server.

Three extracts of generated customers are run in an empty home. Then one customer and a hundred more
are erased while the server is warm. An erasure restarts the server; a restart by itself is measured
before each, and subtracted. erasure.json records the seconds. Run it on an idle machine; the load
before is recorded.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import churn_pipeline, report
from benchmarks.churn_pipeline import ChurnHome
from benchmarks.measure import machine
from lakehouse.settings import PROJECT
from seeds_loader.sample import SampleParameters, simulate, write_samples

PAGE = PROJECT / "docs" / "privacy.md"
RESULT = Path(__file__).with_name("erasure.json")
START = "<!-- figures: made by make measure-erasure -->"
SAMPLE = SampleParameters(rows=7043, months=3, start=date(2025, 1, 1))
ONE, MANY = 1, 100


def main() -> None:
    """Measure both erasures, store the result, and write it into the page on customers' rights."""
    measured_on = machine()
    with (
        tempfile.TemporaryDirectory() as folder,
        churn_pipeline.home(Path(folder) / "churn") as home,
    ):
        for path in write_samples(SAMPLE, Path(folder) / "workbooks"):
            home.churn("run", path)
        # Customers of the last extract, most of whom are in the earlier ones too.
        *_, last = simulate(SAMPLE)
        ids = last.customers["customerID"].tolist()
        erasures = [measure(home, ids[:ONE]), measure(home, ids[ONE : ONE + MANY])]
    result = {"machine": measured_on, "extracts": SAMPLE.months, "erasures": erasures}
    RESULT.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    PAGE.write_text(report.replace_figures(PAGE.read_text(), START, format_figures(result)))


def measure(home: ChurnHome, ids: Sequence[str]) -> dict[str, Any]:
    """Erase customers while the server is warm.

    Returns:
        The number of customers, and seconds of the call and of a server's restart before it.
    """
    home.churn("down")
    restart = _measure_seconds(lambda: home.churn("up"))
    home.churn("show", ids[-1])
    seconds = _measure_seconds(lambda: home.churn("forget", *ids))
    return {
        "customers": len(ids),
        "seconds": round(seconds, 1),
        "restart_seconds": round(restart, 1),
        "beyond_restart_seconds": round(seconds - restart, 1),
    }


def _measure_seconds(do: Callable[[], None]) -> float:
    start = time.monotonic()
    do()
    return time.monotonic() - start


def format_figures(result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the page: seconds of each erasure."""
    where = result["machine"]
    yield f"| Customers in {result['extracts']} extracts | Seconds | Of these, the server's start |"
    yield "|---|---|---|"
    for each in result["erasures"]:
        yield f"| {each['customers']} | {each['seconds']:.1f} | {each['restart_seconds']:.1f} |"
    yield (
        f"\nMeasured with {SAMPLE.rows:,} customers on {where['cores']} cores "
        f"({where['processor']}; load before: {where['load_before']})."
    )


if __name__ == "__main__":
    main()
