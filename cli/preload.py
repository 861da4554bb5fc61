"""Imports the slow libraries beside the work that waits for the Spark server.

dbt, Feast and matplotlib take seconds to import; the job needs them one after another, and until
then it mostly waits for the server.
"""

import contextlib
import gc
import importlib
import threading

SLOW = [
    "dbt.cli.main",
    "feature_repo.verify",
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
