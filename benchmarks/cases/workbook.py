"""A workbook of a million rows into bronze, next to the fastest reader that only reads it."""

import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import churn_pipeline
from benchmarks.measure import Measurement, call, in_turns, measuring
from seeds_loader.sample import SampleParameters, write_samples

READERS = {
    "fastexcel, text": "import fastexcel; fastexcel.read_excel({path!r}).load_sheet(0, "
    "dtypes='string').to_arrow()",
}


def run(folder: Path, rows: int, rounds: int) -> dict[str, Measurement]:
    """Measure `churn ingest` (memory without the Spark server) and the readers."""
    target = folder / f"workbook-{rows}"
    if not target.exists():
        write_samples(SampleParameters(rows), target)
    (workbook,) = target.glob("*.xlsx")
    with churn_pipeline.home(folder / "bronze") as home:
        home.churn("up")
        days = iter(range(1, 29))

        def churn(into: Measurement) -> None:
            with measuring(into):
                home.churn("ingest", workbook, "--extract-date", f"2024-01-{next(days):02}")

        def reader(code: str) -> Callable[[Measurement], None]:
            def side(into: Measurement) -> None:
                with measuring(into):
                    call([sys.executable, "-c", code.format(path=str(workbook))])

            return side

        others = {name: reader(code) for name, code in READERS.items()}
        return in_turns({"churn": churn, **others}, rounds)
