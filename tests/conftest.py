import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Files that took less are not told by name.
TOLD_SECONDS = 20


@pytest.fixture(autouse=True)
def _same_umask() -> Iterator[None]:
    """Commands that are called in this process make the umask strict, for all that follows."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The sample workbooks, which lie beside the checkout and not in it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the sample workbooks are not beside this checkout")
    return folder


# What tests want to be read at the end of a run; a process of pytest-xdist hands it on.
told = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[told] = []


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (handed_on := getattr(session.config, "workeroutput", None)) is not None:
        handed_on["told"] = session.config.stash[told]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[told] += getattr(node, "workeroutput", {}).get("told", [])


@pytest.fixture(scope="session")
def tell(pytestconfig: pytest.Config) -> list[str]:
    """Lines that are printed at the end of the run."""
    return pytestconfig.stash[told]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where the time went: the stages of a run, which are the folders, and their longest files."""
    for line in terminalreporter.config.stash[told]:
        terminalreporter.write_line(line)
    files: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                files[report.nodeid.partition("::")[0]] += report.duration
    stages: Counter[str] = Counter()
    for file, seconds in files.items():
        stages[str(Path(file).parent)] += seconds
    terminalreporter.section("time by stage")
    for stage, total in stages.items():
        terminalreporter.write_line(f"{total:7.0f} s  {stage}")
        for file, seconds in files.most_common():
            if str(Path(file).parent) == stage and seconds >= TOLD_SECONDS:
                terminalreporter.write_line(f"{seconds:13.0f} s  {Path(file).name}")
