"""MLflow, brought to what the registry of models says, as a step of a command."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from lakehouse.errors import ChurnError
from lakehouse.progress import Steps
from lakehouse.settings import Settings

if TYPE_CHECKING:  # MLflow takes seconds to import: only where it is used
    from trainer.mlflow_sync import Store


def open_store_async(settings: Settings) -> "Future[Store]":
    """Open MLflow beside other work: that takes seconds, and as much again the first time."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="mlflow")
    opened = pool.submit(_open, settings)
    pool.shutdown(wait=False)
    return opened


def sync_registry(settings: Settings, steps: Steps, opened: "Future[Store] | None" = None) -> None:
    """The step: log what MLflow lacks, remove what is gone, name the champion.

    Call it under the run lock, and last. All else is done then, and the next command that comes
    here logs what is missing: an MLflow that does not answer is a warning and no fault.
    """
    try:
        sync_registry_or_raise(settings, steps, opened)
    except ChurnError as fault:
        steps.say(f"warning: MLflow lacks what is new until the next command logs it. {fault}")


def sync_registry_or_raise(
    settings: Settings, steps: Steps, opened: "Future[Store] | None" = None
) -> None:
    """The same, for who wants to know whether MLflow has all of it.

    Raises:
        lakehouse.errors.UnavailableError: MLflow does not answer.
        lakehouse.errors.ChurnError: its file can't be used.
    """
    with steps.step("mlflow") as step:
        store = opened.result() if opened is not None else _open(settings)
        from churn.reports.model_page import model_page
        from trainer import mlflow_sync

        step.outcome = mlflow_sync.sync(settings, store, model_page, step.say).in_words()


def _open(settings: Settings) -> "Store":
    from trainer import mlflow_sync

    return mlflow_sync.open_store(settings)
