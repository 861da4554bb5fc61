"""Describe what training and scoring read and write, for lineage."""

from lakehouse.lineage import Dataset, StepIO, file, table
from lakehouse.settings import Settings
from trainer import registry
from trainer.record import ModelRecord

GOLD, LABELS, PUBLICATIONS = "gold.customer_features", "gold.churn_labels", "gold.publications"
SCORES = "gold.churn_scores"


def train_io(settings: Settings, record: ModelRecord, is_new: bool) -> StepIO:
    """Return the lineage from features and labels to a version of the model."""
    inputs = [table(settings, name) for name in (GOLD, LABELS, PUBLICATIONS)]
    return StepIO(inputs, [model_dataset(settings, record.version)] if is_new else [])


def score_io(settings: Settings, record: ModelRecord, written: bool) -> StepIO:
    """Return the lineage from features and the champion to scores.

    Each probability depends on all of the model's features.
    """
    gold = table(settings, GOLD)
    inputs = [gold, table(settings, PUBLICATIONS), model_dataset(settings, record.version)]
    if not written:
        return StepIO(inputs)
    scores = table(settings, SCORES)
    features = [(gold, name) for name in record.features]
    sources = {
        "customer_id": [(gold, "customer_id")],
        "probability": features,
        "reasons": features,
    }
    return StepIO(inputs, [Dataset(scores.namespace, scores.name, scores.table, sources=sources)])


def model_dataset(settings: Settings, version: str) -> Dataset:
    """Return a version of the model as a dataset: its folder, with record and pipeline."""
    return file(registry.folder(settings) / version)
