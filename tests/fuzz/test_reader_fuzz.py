"""Mutated workbooks: each is refused, or what is loaded is what another reader finds in it.

Nothing else may come out: no traceback, no dead process, no more than a gibibyte or a minute.
"""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from mutations import mutation
from worker import write

from lakehouse.errors import InvalidInputError
from seeds_loader.reader.sandbox import read_workbook

WORKER = Path(__file__).with_name("worker.py")
SLICE = range(0, 100)
ALL = range(0, 3_000)


@dataclass
class Figures:
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    slowest: float = 0
    peak: int = 0


def fuzz(numbers: range) -> Figures:
    """Reads all mutations; a worker that dies is followed by another behind where it died."""
    figures = Figures()
    first = numbers.start
    while first < numbers.stop:
        with subprocess.Popen(
            [sys.executable, str(WORKER), str(first), str(numbers.stop)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as worker:
            assert worker.stdout is not None
            for line in worker.stdout:
                number, *result = json.loads(line)
                first = number + 1
                if not result:
                    continue
                outcome, detail, seconds, peak = result
                figures.outcomes[outcome] += 1
                figures.slowest = max(figures.slowest, seconds)
                figures.peak = max(figures.peak, peak)
                if outcome == "fault":
                    figures.faults.append(f"{number} ({mutation(number).what}): {detail}")
        if worker.returncode:
            figures.ended.append(first - 1)
    return figures


@pytest.mark.parametrize(
    "numbers",
    [pytest.param(SLICE, id="slice"), pytest.param(ALL, marks=pytest.mark.long, id="all")],
)
def test_mutated_workbooks(numbers, tmp_path, capsys):
    figures = fuzz(numbers)
    with capsys.disabled():
        print(
            f"\n{len(numbers):,} mutations: {dict(figures.outcomes)}, {len(figures.ended)} ended "
            f"the process; at most {figures.peak} MiB and {figures.slowest} s"
        )
    assert not figures.faults, "\n\n".join(figures.faults[:20])
    assert figures.peak < 1024
    assert figures.slowest < 60
    assert sum(figures.outcomes.values()) + len(figures.ended) == len(numbers)
    # the oracle is not to pass for want of anything to compare
    assert figures.outcomes["loaded"] > len(numbers) / 20
    assert figures.outcomes["unproven"] < figures.outcomes["loaded"] / 10
    for number in figures.ended:
        # a dead reader is why reading has a process of its own
        with pytest.raises(InvalidInputError, match="damaged"):
            read_workbook(write(mutation(number), tmp_path))
