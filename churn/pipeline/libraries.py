"""Import slow libraries in the background, and keep libraries from logging what we report.

dbt, Feast and matplotlib take seconds to import; the job needs them one after another, and until
then it mostly waits for the server.
"""

import contextlib
import gc
import importlib
import logging
import threading
import warnings

SLOW = [
    "dbt.cli.main",
    "feature_repo.online.verify",
    "trainer.train",
    "matplotlib.figure",
    "lakehouse.lineage_dbt",
]


def preload() -> None:
    """Start importing in the background. A fault shows up where the module is really needed."""
    threading.Thread(target=_import_all, daemon=True, name="preload").start()


def _import_all() -> None:
    for name in SLOW:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    # Half a million objects that stay: the search for circles need not go through them each time.
    gc.freeze()


def quiet_libraries() -> None:
    """Faults reach people as exceptions; the libraries' own log lines would say them twice."""
    # Feast sets filters of its own when it is imported; what is never shown can't come back.
    warnings.showwarning = lambda *_: None
    for name in ("SQLQueryContextLogger", "pyspark", "feast", "py4j"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
