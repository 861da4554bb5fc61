"""Import slow libraries in the background and silence logs that repeat this project's errors.

dbt, Feast, scikit-learn and matplotlib take seconds to import. A run needs them one after another,
and until then it mostly waits for the server. A step waits until the background has imported what
the step imports: two threads that enter a package with circular imports at different points get
half of a module.
"""

import contextlib
import gc
import importlib
import logging
import os
import threading
import warnings

# In the order in which a run needs them; a step waits for the last of those it uses.
DBT = "lakehouse.lineage_dbt"
FEAST = "feature_repo.online.verify"
ALL = "matplotlib.figure"
SLOW = ["dbt.cli.main", DBT, FEAST, "trainer.train", "sklearn.metrics", ALL]

_is_started = threading.Event()
_imported = {name: threading.Event() for name in SLOW}


def preload() -> None:
    """Start the imports in the background.

    Import errors are ignored here; they are raised where the module is used.
    """
    _is_started.set()
    threading.Thread(target=_import_all, daemon=True, name="preload").start()


def wait_for_import(name: str) -> None:
    """Wait until the background, if it was started, has imported this module of SLOW."""
    if _is_started.is_set():
        _imported[name].wait()


def _import_all() -> None:
    for name in SLOW:
        try:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        finally:
            _imported[name].set()
    # Exempt half a million permanent objects from garbage collection, which would rescan them.
    gc.freeze()


def limit_threads() -> None:
    """Let numpy compute in one thread, unless the environment says otherwise; call it before it.

    The matrices are small: further threads mostly wait for each other, which also takes processor
    time. Beside a busy Spark server it was fifteen times that of the computation.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def quiet_libraries() -> None:
    """Silence the libraries' log messages, which would repeat what users get as exceptions."""
    # Feast sets its own warning filters at import, so that filters set here would not last.
    warnings.showwarning = lambda *_: None
    for name in ("SQLQueryContextLogger", "pyspark", "feast", "py4j"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
