"""Define the record of a model version: its identity, its quality and its origin."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from typing import Any

from trainer.metrics import HOLDOUT, OUT_OF_FOLD, Curves, Metrics
from trainer.portable_model import PortableModel, from_json, to_json


@dataclass(frozen=True)
class ModelRecord:
    """A model version.

    Attributes:
        version: Name of the version.
        kind: Chosen model type.
        champion_reason: Why this model type was chosen.
        evaluations: Metrics by model type and evaluation (`out_of_fold`, `holdout`, `fold_<k>`).
        curves: Curves by model type and evaluation, without the folds.
        parameters: Parameters of the training.
        features: Names of the features, in the model's order.
        derived: Inputs that the pipeline adds, as name to SQL expression.
        form: The model in numbers.
        extract_date: Latest extract date in the training set.
        signature: Identifies the training set.
        label: Meaning of `churned` in it (the fields of `feature_repo.labels.Label`).
        rows: Number of training rows.
        seconds: Duration by step.
        created: Time of creation in UTC.
        held_out_form: The model in numbers of the same recipe without the hold-out, which two
            models are compared by.
        batches: Batch ids of the loads that the model was trained on.
        lineage: Origin of the loads (`trainer.training_provenance`); empty in older records.
    """

    version: str
    kind: str
    champion_reason: str
    evaluations: dict[str, dict[str, Metrics]]
    curves: dict[str, dict[str, Curves]]
    parameters: dict[str, Any]
    features: list[str]
    derived: dict[str, str]
    form: PortableModel
    extract_date: date
    signature: str
    label: dict[str, Any]
    rows: int
    seconds: dict[str, float]
    created: datetime
    held_out_form: PortableModel | None = None
    batches: list[str] = field(default_factory=list)
    lineage: dict[str, Any] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, float]:
        """Return the metrics of the chosen model type over all rows.

        Each row was predicted by a model that was not trained on it.
        """
        return asdict(self.evaluations[self.kind][OUT_OF_FOLD])

    @property
    def holdout(self) -> dict[str, float]:
        """Return the metrics of the chosen model type on the hold-out, trained on the rest."""
        return asdict(self.evaluations[self.kind][HOLDOUT])

    def summary(self) -> dict[str, Any]:
        """Return the fields that are reported wherever the model is mentioned."""
        return {
            "version": self.version,
            "kind": self.kind,
            "champion_reason": self.champion_reason,
            "label": self.label,
            **self.metrics,
            "holdout": self.holdout,
        }


def write(record: ModelRecord) -> str:
    """Return the record as JSON text."""
    fields = {
        **asdict(replace(record, curves={})),
        "curves": record.curves,
        "form": to_json(record.form),
        "held_out_form": record.held_out_form and to_json(record.held_out_form),
        "extract_date": record.extract_date.isoformat(),
        "created": record.created.isoformat(),
    }
    return json.dumps(fields, indent=1)


def read(text: str) -> ModelRecord:
    """Return the record in the JSON text.

    Raises:
        ValueError, KeyError, TypeError: The text is not a record.
    """
    fields: Mapping[str, Any] = json.loads(text)
    evaluations = {
        kind: {name: Metrics(**figures) for name, figures in evaluated.items()}
        for kind, evaluated in fields["evaluations"].items()
    }
    return ModelRecord(
        **{
            **fields,
            "label": _label(fields),
            "evaluations": evaluations,
            "form": from_json(fields["form"]),
            "held_out_form": _form(fields.get("held_out_form")),
            "extract_date": date.fromisoformat(fields["extract_date"]),
            "created": datetime.fromisoformat(fields["created"]),
        }
    )


def _form(stored: Mapping[str, Any] | None) -> PortableModel | None:
    return from_json(stored) if stored else None


def _label(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record's label; fields that older records lack have their values of that time.

    At first there was one kind of label, of one extract; later, no published extract was excluded.
    """
    return {
        "kind": "workbook",
        "reason": "churn as the workbook itself marks it",
        "extracts": 1,
        "days_between": [],
        "rows": fields["rows"],
        "positives": fields["evaluations"][fields["kind"]][OUT_OF_FOLD]["positives"],
        "left_out": [],
        **fields.get("label", {}),
    }
