"""Promote the version that a person moved MLflow's alias `champion` to, without a command.

MLflow's file is checked before each answer, which costs microseconds unless the file has changed.
A server is asked by a thread every `POLL_SECONDS`, so that no request waits for it. While MLflow
can't be read, the champion stays the last known one, and the log says so.
"""

import logging
import threading
import time
from math import inf

from lakehouse.errors import ChurnError
from lakehouse.run_lock_file import run_lock_if_free
from lakehouse.settings import Settings
from serving.file_marks import Mark, mark
from trainer import deciles, manual_promotion, mlflow_alias, registry

log = logging.getLogger(__name__)

POLL_SECONDS = 5.0
# Seconds after which the API tries again, where MLflow's file or the run lock was not free.
RETRY_SECONDS = 1.0
# A file that was changed this recently is read again after this time: it may change without a later
# time, because the clock of a file system ticks every few milliseconds.
TICK_SECONDS = 0.05


class ChampionAlias:
    """The alias, and what was done about it."""

    def __init__(self, settings: Settings) -> None:
        """Read nothing yet."""
        self._settings = settings
        self._is_served = settings.mlflow_url is not None
        self._file = mlflow_alias.file(settings)
        self._seen: Mark = None
        self._due = 0.0
        self._problem = ""
        self._end = threading.Event()

    def start(self) -> None:
        """Start asking MLflow's server, if one is configured, until `stop` is called."""
        if self._is_served:
            threading.Thread(target=self._poll, name="mlflow-alias", daemon=True).start()

    def stop(self) -> None:
        """Stop asking the server; this does not wait for a response."""
        self._end.set()

    def check_file(self) -> None:
        """Adopt the alias if MLflow's file has changed since the last call."""
        if self._is_served:
            return
        now = mark(self._file)
        if now == self._seen and time.monotonic() < self._due:
            return
        self._seen = now
        is_settled = now is None or now[0] < (time.time() - TICK_SECONDS) * 1e9
        wait = (inf if is_settled else TICK_SECONDS) if self.adopt() else RETRY_SECONDS
        self._due = time.monotonic() + wait

    def adopt(self) -> bool:
        """Promote the version that the alias was moved to; return False if it is to be retried.

        A version that can't be promoted, or whose scores of this extract are missing, is left to
        the next command that scores.
        """
        try:
            alias = mlflow_alias.read(self._settings, seconds=0)
            moved = manual_promotion.moved_alias(self._settings, alias)
            if moved is None:
                self._report("")
                return True
            if moved.refusal is not None:
                self._report(moved.warning())
                return True
            if not self._has_bounds(moved.version):
                self._report(
                    f"MLflow's alias names {moved.version}, which `churn score` has yet "
                    "to score with: it promotes it then"
                )
                return True
            return self._promote(alias, moved.version)
        except (ChurnError, OSError, ValueError, KeyError, TypeError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            self._report(f"the champion stays as last known: {first}")
            return False

    def _promote(self, alias: mlflow_alias.Alias, version: str) -> bool:
        with run_lock_if_free(self._settings) as is_free:
            if not is_free:
                self._report(
                    f"MLflow's alias names {version}, and the API may not write now: it promotes "
                    "it when no run writes, or the next `churn score` does"
                )
                return False
            moved = manual_promotion.adopt_alias(self._settings, alias)
        if moved is not None and moved.refusal is None:
            log.info("model %s was promoted: MLflow's alias was moved to it", version)
        self._report("")
        return True

    def _has_bounds(self, version: str) -> bool:
        """Return whether the version could answer at once: with deciles of the champion's load."""
        folder = registry.folder(self._settings)
        champion = registry.champion_version(self._settings)
        bounds = deciles.read(folder / version)
        in_use = deciles.read(folder / champion) if champion else None
        return bounds is not None and (in_use is None or bounds.batch_id == in_use.batch_id)

    def _poll(self) -> None:
        while True:
            self.adopt()
            if self._end.wait(POLL_SECONDS):
                return

    def _report(self, problem: str) -> None:
        """Log a problem once, until there is another one or none."""
        if problem and problem != self._problem:
            log.warning("%s", problem)
        self._problem = problem
