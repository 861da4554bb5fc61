"""Modules that a run imports in the background are whole when a step imports them."""

import os
import subprocess
import sys

import pytest

from churn.pipeline import libraries

# A step that reaches Feast at another point than the background, while the background is in it.
MEANWHILE = """
import sys, time
from churn.pipeline.libraries import FEAST, preload, wait_for_import
preload()
while "feast" not in sys.modules:
    time.sleep(0.001)
wait_for_import(FEAST)
from feature_repo.online.materialize import apply
from feature_repo.online.verify import verify
"""


def test_a_step_imports_feast_while_the_background_does() -> None:
    """Without waiting, the step fails at any moment of the background's import."""
    called = subprocess.run([sys.executable, "-c", MEANWHILE], capture_output=True, text=True)

    assert called.returncode == 0, called.stderr


def test_feast_is_imported_without_the_checks_that_take_most_of_its_import() -> None:
    code = (
        "from feature_repo.registry_snapshot import FeatureStore\n"
        "from feast import FeatureView\n"
        "print(*FeatureStore.apply.__code__.co_names, *FeatureView.__init__.__code__.co_names)\n"
    )
    called = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert called.returncode == 0, called.stderr
    assert called.stdout.strip() and "check_argument_types" not in called.stdout


def test_numpy_computes_in_one_thread_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = (
        "from churn.pipeline.libraries import limit_threads\n"
        "limit_threads()\n"
        "import numpy, threadpoolctl\n"
        "print([each['num_threads'] for each in threadpoolctl.threadpool_info()])\n"
    )
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    called = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert called.stdout.strip() == "[1]", called.stderr
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    libraries.limit_threads()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2"


def test_nothing_waits_without_the_background() -> None:
    """Airflow's tasks and single steps import what they need themselves."""
    for name in libraries.SLOW:
        libraries.wait_for_import(name)


def test_a_module_that_cannot_be_imported_makes_no_step_wait() -> None:
    """The step gets the import's own error."""
    code = (
        "from churn.pipeline import libraries\n"
        "libraries.SLOW.insert(0, 'no_such_module')\n"
        "libraries._imported['no_such_module'] = libraries.threading.Event()\n"
        "libraries.SLOW[1:] = []\n"
        "libraries.preload()\n"
        "libraries.wait_for_import('no_such_module')\n"
    )
    called = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )

    assert called.returncode == 0, called.stderr
