"""Synchronise MLflow with the model registry as a step of a command, and adopt a moved alias."""

from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from lakehouse.errors import ChurnError, UnavailableError
from lakehouse.process import Log
from lakehouse.progress import Steps
from lakehouse.run_lock_file import run_lock_if_free
from lakehouse.sample_home import is_sample
from lakehouse.settings import Settings
from trainer import manual_promotion, mlflow_alias

if TYPE_CHECKING:  # MLflow takes seconds to import: only where used
    from trainer.mlflow_sync import Store


def adopt_alias(settings: Settings, log: Log) -> bool:
    """Promote the version that a person moved MLflow's alias to; a refusal is a warning.

    Call this under the run lock, before the champion is used. If MLflow can't be read, the champion
    stays the last known one.

    Args:
        settings: The settings of this CHURN_HOME.
        log: Progress display.

    Returns:
        Whether a person has moved the alias: MLflow is to be synchronised then.
    """
    try:
        moved = manual_promotion.adopt_alias(settings, mlflow_alias.read(settings))
    except UnavailableError as error:
        log(f"warning: the champion stays as last known, whatever MLflow's alias names. {error}")
        return False
    if moved is None:
        return False
    promoted = f"{moved.version} is the champion now: MLflow's alias was moved to it"
    log(promoted if moved.refusal is None else f"warning: {moved.warning()}")
    return True


def is_alias_moved(settings: Settings) -> bool:
    """Return whether a person has moved MLflow's alias, as far as MLflow can be read."""
    try:
        return manual_promotion.moved_alias(settings, mlflow_alias.read(settings)) is not None
    except UnavailableError:
        return False


def adopt_alias_if_free(settings: Settings, log: Log) -> None:
    """Call `adopt_alias` if no other process holds the run lock, for a command that writes nothing.

    A command that holds the lock adopts the alias itself, or the next one does.
    """
    with run_lock_if_free(settings) as is_free:
        if is_free:
            adopt_alias(settings, log)


def open_store_async(settings: Settings) -> "Future[Store]":
    """Open MLflow's store in the background.

    This takes seconds, and twice as long the first time.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="mlflow")
    opened = pool.submit(_open, settings)
    pool.shutdown(wait=False)
    return opened


def sync_registry(settings: Settings, steps: Steps, opened: "Future[Store] | None" = None) -> None:
    """Log what MLflow lacks, remove what the registry no longer has, and mark the champion.

    Call this as the last step and under the run lock. All other work is complete then, and the next
    command that synchronises logs what is missing, so that an unavailable MLflow causes a warning
    instead of an error.

    Args:
        settings: The settings of this CHURN_HOME.
        steps: Progress display; this adds the step "mlflow".
        opened: The store, if it was opened in the background.
    """
    try:
        sync_registry_or_raise(settings, steps, opened)
    except ChurnError as error:
        steps.log(f"warning: MLflow lacks what is new until the next command logs it. {error}")


def sync_registry_or_raise(
    settings: Settings, steps: Steps, opened: "Future[Store] | None" = None
) -> None:
    """Synchronise like `sync_registry`, but raise if MLflow could not be updated.

    Args:
        settings: The settings of this CHURN_HOME.
        steps: Progress display; this adds the step "mlflow".
        opened: The store, if it was opened in the background.

    Raises:
        lakehouse.errors.UnavailableError: MLflow does not respond.
        lakehouse.errors.ChurnError: MLflow's database file is unusable.
    """
    with steps.step("mlflow") as step:
        store = opened.result() if opened is not None else _open(settings)
        from churn.reports.model_page import model_page
        from trainer import mlflow_sync

        draw = partial(model_page, is_sample=is_sample(settings))
        step.outcome = mlflow_sync.sync(settings, store, draw, step.log).format_outcome()


def _open(settings: Settings) -> "Store":
    from trainer import mlflow_sync

    return mlflow_sync.open_store(settings)
