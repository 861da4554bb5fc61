"""What all test stages share: homes with servers, their order, and the times that are printed.

Stages, from quick to slow: `unit` (no server), `component` (a Spark server, a completed run),
`fuzz`, `e2e` (whole systems and everything that starts them), `stack` (containers).
"""

import os
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from environments import ChurnHome, CompletedRun, Environments

from lakehouse import class_archive
from seeds_loader.sample import SampleParameters, write_samples

# Quicker files are not printed by name.
PRINTED_SECONDS = 20
# The stages whose tests use servers, and the fixtures whose homes their files share.
WITH_SERVERS = ("component", "e2e")
SHARED = ["completed_run", "completed_home", "changed_home", "shared_home", "extracts_home"]
# One home under three names, in the order in which its tests run.
COMPLETED = {"completed_home": "completed_run", "changed_home": "completed_run"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files that share a home one after another: a server that was stopped starts cold.

    With several processes (pytest-xdist), one process runs all files of a shared home. Any process
    runs the other files, those without servers last: they fill the remaining time.
    """
    rank: dict[Path, int] = {}
    for item in items:
        used = [SHARED.index(name) for name in item.fixturenames if name in SHARED]
        # The last one: a test that uses `completed_home` uses `completed_run` through it.
        last = max(used, default=len(SHARED))
        has_server = item.path.parent.name in WITH_SERVERS
        rank[item.path] = min(last, rank.get(item.path, len(SHARED))) if has_server else 9
    items.sort(key=lambda item: rank[item.path])
    for item in items:
        shared = SHARED[rank[item.path]] if rank[item.path] < len(SHARED) else ""
        item.add_marker(pytest.mark.xdist_group(COMPLETED.get(shared, shared) or item.path.name))


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environments]:
    """Homes that tests create; the servers of all of them are stopped at the end."""
    created = Environments(tmp_path_factory)
    yield created
    for home in created.all:
        home.end()


@pytest.fixture(scope="session")
def completed_run(environments: Environments, shared_data: Path) -> CompletedRun:
    """The whole job on the 21-column workbook, in an empty home and unusual surroundings."""
    home = environments.unusual("completed")
    summary = home.churn_json("run", shared_data / "Telco-Customer-Churn.xlsx")
    # All servers that are started later, in this checkout, take less processor time.
    class_archive.write(home.settings)
    return CompletedRun(home, summary)


@pytest.fixture(scope="session")
def completed_home(completed_run: CompletedRun) -> ChurnHome:
    """The same home, for tests that add scores of their own models: they run after the others."""
    return completed_run.home


@pytest.fixture(scope="session")
def changed_home(completed_home: ChurnHome) -> ChurnHome:
    """The same home, for tests that publish and promote in it: they run last."""
    return completed_home


@pytest.fixture(scope="session")
def shared_home(environments: Environments) -> ChurnHome:
    """A home with a server and no data, for tests of bronze to gold."""
    home = environments.new("shared")
    home.churn("up")
    return home


@pytest.fixture(scope="session")
def extracts_home(environments: Environments) -> ChurnHome:
    """A home with a server, for tests that load many extracts; each has its own extract dates."""
    home = environments.new("extracts")
    home.churn("up")
    return home


@pytest.fixture(scope="session")
def months(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A year of monthly workbooks of 1,100 customers, without faults."""
    parameters = SampleParameters(rows=1100, months=12, start=date(2024, 1, 1))
    return write_samples(parameters, tmp_path_factory.mktemp("months"))


@pytest.fixture(autouse=True)
def _same_umask() -> Iterator[None]:
    """Restore the umask, which commands that are called in this process make strict."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The sample workbooks, which are stored beside the checkout and not in it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the sample workbooks are not beside this checkout")
    return folder


# Lines that tests print at the end of a run; a process of pytest-xdist hands them on.
printed = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[printed] = []


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["printed"] = session.config.stash[printed]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[printed] += getattr(node, "workeroutput", {}).get("printed", [])


@pytest.fixture(scope="session")
def tell(pytestconfig: pytest.Config) -> list[str]:
    """Lines that are printed at the end of the run."""
    return pytestconfig.stash[printed]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the time of each stage, which is a folder, and of its longest files."""
    for line in terminalreporter.config.stash[printed]:
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
            if str(Path(file).parent) == stage and seconds >= PRINTED_SECONDS:
                terminalreporter.write_line(f"{seconds:13.0f} s  {Path(file).name}")
