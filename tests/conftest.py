from collections import Counter
from pathlib import Path

import pytest

# Files that took less are not told by name.
TOLD_SECONDS = 20


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The sample workbooks, which lie beside the checkout and not in it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the sample workbooks are not beside this checkout")
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where the time went: the stages of a run, which are the folders, and their longest files."""
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
