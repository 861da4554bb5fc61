"""The job run by an unprivileged user; other tests may run as root."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from environments import BIN, RUN_SECONDS, ChurnHome, Environments, called

from seeds_loader.sample import SampleParameters, write_samples

UNPRIVILEGED_UID = 65534
# The user may read the interpreter wherever it is installed, and write only its own files.
AS_UNPRIVILEGED = [
    "setpriv",
    f"--reuid={UNPRIVILEGED_UID}",
    f"--regid={UNPRIVILEGED_UID}",
    "--clear-groups",
]
AS_UNPRIVILEGED += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the tests run as an ordinary user")

Churn = Callable[..., str]


@pytest.fixture(scope="module")
def home(environments: Environments) -> Iterator[ChurnHome]:
    """A home in a folder that the unprivileged user can access, unlike pytest's own folder."""
    made = environments.unusual("user")
    environments.all.remove(made)  # the unprivileged user ends its servers
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / made.path.name
        write_samples(SampleParameters(rows=1100), path / "inbox")
        for each in (path, *path.rglob("*")):
            os.chown(each, UNPRIVILEGED_UID, UNPRIVILEGED_UID)
        yield ChurnHome(path, {**made.environ, "CHURN_HOME": str(path)})


@pytest.fixture(scope="module")
def churn(home: ChurnHome) -> Iterator[Churn]:
    def call(*arguments: str | Path) -> str:
        command = [*AS_UNPRIVILEGED, BIN / "churn", *arguments]
        answer = called(command, home.environ, RUN_SECONDS, umask=0)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    yield call
    call("down")


def workbook(home: ChurnHome) -> Path:
    (path,) = (home.path / "inbox").iterdir()
    return path


def test_an_ordinary_user_loads_a_workbook(home: ChurnHome, churn: Churn) -> None:
    assert "1,100 rows" in churn("ingest", workbook(home))
    assert {path.stat().st_uid for path in home.path.rglob("*")} == {UNPRIVILEGED_UID}


@pytest.mark.long
def test_an_ordinary_user_runs_the_whole_job(home: ChurnHome, churn: Churn) -> None:
    assert "1,100 in gold, 1,100 online and equal, 1,100 scored" in churn("run", workbook(home))
    assert {path.stat().st_uid for path in home.path.rglob("*")} == {UNPRIVILEGED_UID}
