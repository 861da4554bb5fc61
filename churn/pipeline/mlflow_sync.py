"""Synchronise MLflow with the model registry as a step of a command."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from lakehouse.errors import ChurnError
from lakehouse.progress import Steps
from lakehouse.settings import Settings

if TYPE_CHECKING:  # MLflow takes seconds to import: only where used
    from trainer.mlflow_sync import Store


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
    except ChurnError as fault:
        steps.say(f"warning: MLflow lacks what is new until the next command logs it. {fault}")


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

        step.outcome = mlflow_sync.sync(settings, store, model_page, step.say).in_words()


def _open(settings: Settings) -> "Store":
    from trainer import mlflow_sync

    return mlflow_sync.open_store(settings)
