"""Import slow libraries in the background and silence logs that repeat this project's errors.

dbt, Feast, scikit-learn and matplotlib take seconds to import. A run needs them one after another,
and until then it mostly waits for the server.
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
    "sklearn.metrics",
    "matplotlib.figure",
    "lakehouse.lineage_dbt",
]


def preload() -> None:
    """Start the imports in the background.

    Import errors are ignored here; they are raised where the module is used.
    """
    threading.Thread(target=_import_all, daemon=True, name="preload").start()


def _import_all() -> None:
    for name in SLOW:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    # Exempt half a million permanent objects from garbage collection, which would rescan them.
    gc.freeze()


def quiet_libraries() -> None:
    """Silence the libraries' log messages, which would repeat what users get as exceptions."""
    # Feast sets its own warning filters at import, so that filters set here would not last.
    warnings.showwarning = lambda *_: None
    for name in ("SQLQueryContextLogger", "pyspark", "feast", "py4j"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
