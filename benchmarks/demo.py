"""`make measure-demo`: measure what `churn demo` needs; write it into README and tutorial.

The demo runs once, in an empty home with ports of its own, in the environment of this checkout.
demo.json records its output, memory, disk space and time. Run it on an idle machine; the load
before is recorded.
"""

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from textwrap import wrap
from typing import Any

import psutil

from benchmarks import churn_pipeline, report
from benchmarks.churn_pipeline import CHURN, ChurnHome
from benchmarks.measure import SAMPLE_SECONDS, machine
from lakehouse.command_name import SUFFIX
from lakehouse.settings import PROJECT

README, TUTORIAL = PROJECT / "README.md", PROJECT / "docs" / "tutorial.md"
RESULT = Path(__file__).with_name("demo.json")
START = "<!-- figures: made by make measure-demo -->"
CUSTOMER_ID = re.compile(r"\b\d{4}-[A-Z]{5}\b")
GB = 1e9
# Characters of a line in a code block of the README.
WIDEST = 100


def main() -> None:
    """Measure the demo, store the result, and write it into README and tutorial."""
    measured_on = machine()
    with (
        tempfile.TemporaryDirectory() as folder,
        churn_pipeline.home(Path(folder) / "churn") as home,
    ):
        try:
            result = {"machine": measured_on, **measure(home)}
        finally:
            home.churn("--demo", "down")
    RESULT.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    README.write_text(report.replace_figures(README.read_text(), START, format_figures(result)))
    TUTORIAL.write_text(CUSTOMER_ID.sub(find_customer(result), TUTORIAL.read_text()))


def measure(home: ChurnHome) -> dict[str, Any]:
    """Run the demo beside an empty home.

    Returns:
        Seconds, the most memory at a time, disk space afterwards, and the lines of the output, with
        paths as they are in a checkout.

    Raises:
        RuntimeError: The demo failed; the message is its output.
    """
    demo, most = home.settings.home.with_name(f"{home.settings.home.name}{SUFFIX}"), 0
    environ = {**home.environ, "PYTHONIOENCODING": "utf-8"}
    with tempfile.TemporaryFile("w+") as output:
        start = time.monotonic()
        process = subprocess.Popen(
            [CHURN, "demo"], cwd=PROJECT, env=environ, stdout=output, stderr=subprocess.STDOUT
        )
        while _is_running(process):
            most = max(most, _memory_bytes(home.settings.home))
        seconds = time.monotonic() - start
        output.seek(0)
        text = output.read()
    if process.returncode != 0:
        raise RuntimeError(text)
    places = {".venv": PROJECT / ".venv", ".tools": PROJECT / ".tools", "home": demo}
    return {
        "seconds": round(seconds, 1),
        "memory_gb": round(most / GB, 2),
        "disk_gb": {name: round(_disk_bytes(place) / GB, 2) for name, place in places.items()},
        "output": text.replace(str(demo), ".churn-demo").replace(f"{PROJECT}/", "").splitlines(),
    }


def _is_running(process: "subprocess.Popen[bytes]") -> bool:
    """Wait until the next measurement; return whether the process is running then."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(SAMPLE_SECONDS)
    return process.returncode is None


def _memory_bytes(home: Path) -> int:
    """Return the memory of all processes of a home and its demo's: the command and its servers.

    Memory that processes share is divided among them (PSS), so that the sum is what they need.
    """
    total = 0
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("CHURN_HOME", "").startswith(str(home)):
                total += process.memory_full_info().pss
    return total


def _disk_bytes(folder: Path) -> int:
    answer = subprocess.run(
        ["du", "--summarize", "--block-size=1", folder], capture_output=True, text=True, check=True
    )
    return int(answer.stdout.split()[0])


def find_customer(result: Mapping[str, Any]) -> str:
    """Return the customer that the demo proposes to look at."""
    (line,) = (line for line in result["output"] if line.startswith("try: "))
    return str(line.split()[-1])


def format_figures(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the README: the output of the demo, and what it needs."""
    where, disk = result["machine"], result["disk_gb"]
    warm = json.loads(report.RESULTS.read_text())["cases"]["job"]["sides"]["warm"]["median_s"]
    yield "Output of the demo, without the messages between the steps:"
    yield "\n```"
    # Messages are indented.
    for line in result["output"]:
        if line.strip() and not line.startswith(" "):
            yield from wrap(line, WIDEST, subsequent_indent="  ", break_on_hyphens=False)
    yield "```\n"
    yield "| Requirement | |\n|---|---|"
    yield "| System | Linux on x86-64; tested on Debian 12 with Python 3.11 |"
    yield (
        f"| Memory | {result['memory_gb']:.1f} GB at most, all processes together, on a machine "
        f"with {where['memory_gib']:.0f} GiB; Spark's heap is half of the memory that it finds, "
        "from 0.8 to 4 GB |"
    )
    yield (
        f"| Disk | {sum(disk.values()):.1f} GB in all: the environment {disk['.venv']:.2f} GB, "
        f"tools and JARs {disk['.tools']:.2f} GB, the demo's data {disk['home']:.2f} GB |"
    )
    yield "| Network | 1.2 GB of downloads by the first call, none by later ones |"
    yield (
        f"| Time | {result['seconds']:.0f} s for the demo from a cold start, without downloads, on "
        f"{where['cores']} cores ({where['processor']}); {warm:.0f} s for a workbook while the "
        "server is warm ([benchmarks](docs/benchmarks.md)) |"
    )


if __name__ == "__main__":
    main()
