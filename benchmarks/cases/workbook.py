"""A workbook of a million rows into bronze, beside the fastest reader that only reads it."""

import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import ours
from benchmarks.measure import Measured, call, in_turns, measuring
from seeds_loader.sample import SampleParameters, write_samples

READERS = {
    "fastexcel, text": "import fastexcel; fastexcel.read_excel({path!r}).load_sheet(0, "
    "dtypes='string').to_arrow()",
}


def run(folder: Path, rows: int, rounds: int) -> dict[str, Measured]:
    """Sides `ours` (`churn ingest`, its memory without the Spark server's) and the readers."""
    made = folder / f"workbook-{rows}"
    (workbook,) = made.glob("*.xlsx") if made.exists() else write_samples(_sample(rows), made)
    with ours.home(folder / "bronze") as home:
        home.churn("up")
        days = iter(range(1, 29))

        def by_us(into: Measured) -> None:
            with measuring(into):
                home.churn("ingest", workbook, "--extract-date", f"2024-01-{next(days):02}")

        def by(code: str) -> Callable[[Measured], None]:
            def side(into: Measured) -> None:
                with measuring(into):
                    call([sys.executable, "-c", code.format(path=str(workbook))])

            return side

        return in_turns(
            {"ours": by_us, **{name: by(code) for name, code in READERS.items()}}, rounds
        )


def _sample(rows: int) -> SampleParameters:
    return SampleParameters(rows)
