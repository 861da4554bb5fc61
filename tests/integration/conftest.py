"""Homes that tests share; whatever they start is ended at the end."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from homes import Home, Homes, Walked

from seeds_loader.sample import SampleParameters, write_samples

# The homes that test files share.
SHARED = ["walked", "published", "tables", "extracts"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that share a home one after another: a server that had to make room starts cold.

    With several processes (pytest-xdist) they run in one of them, each other file in any, and the
    unit tests last: they fill what is left.
    """
    place: dict[Path, int] = {}
    for item in items:
        used = [SHARED.index(each) for each in item.fixturenames if each in SHARED]
        # The last of them: who uses `published` uses `walked` by it.
        last = max(used, default=len(SHARED))
        is_here = item.path.parent == Path(__file__).parent
        place[item.path] = min(last, place.get(item.path, len(SHARED))) if is_here else 9
    items.sort(key=lambda item: place[item.path])
    for item in items:
        shared = SHARED[place[item.path]] if place[item.path] < len(SHARED) else ""
        group = "walked" if shared == "published" else shared or item.path.name
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homes]:
    made = Homes(tmp_path_factory)
    yield made
    for home in made.all:
        home.end()


@pytest.fixture(scope="session")
def walked(homes: Homes, shared_data: Path) -> Walked:
    """The whole job on the 21-column workbook, in an empty home and unusual surroundings."""
    home = homes.unusual("walked")
    summary = home.churn_json("run", shared_data / "Telco-Customer-Churn.xlsx")
    return Walked(home, summary)


@pytest.fixture(scope="session")
def published(walked: Walked) -> Home:
    """The same home, for those who add scores of their own models: they come after the others."""
    return walked.home


@pytest.fixture(scope="session")
def tables(homes: Homes) -> Home:
    """A home with a server and no data, for tests of bronze to gold."""
    home = homes.new("tables")
    home.churn("up")
    return home


@pytest.fixture(scope="session")
def months(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A year of monthly workbooks of 1,100 customers, without faults."""
    parameters = SampleParameters(rows=1100, months=12, start=date(2024, 1, 1))
    return write_samples(parameters, tmp_path_factory.mktemp("months"))


@pytest.fixture(scope="session")
def extracts(homes: Homes) -> Home:
    """A home with a server, for tests that bring extract after extract; each with its own dates."""
    home = homes.new("extracts")
    home.churn("up")
    return home
