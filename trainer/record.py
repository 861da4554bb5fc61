"""The record of a model version: what it is, how good it is, and where it came from."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from typing import Any

from trainer.metrics import HOLDOUT, OUT_OF_FOLD, Curves, Metrics
from trainer.portable_model import Form, from_json, to_json


@dataclass(frozen=True)
class ModelRecord:
    """A model version.

    `evaluations` and `curves` go by kind, then by evaluation (`out_of_fold`, `holdout`,
    `fold_<k>`; curves without the folds). `features` are in the model's order, `signature`
    identifies the training set, `label` says what `churned` means in it (the fields of
    `feature_repo.labels.Label`), `form` is the model in numbers, `held_out_form` that of the same
    recipe which has not seen the hold-out: what two models are compared by. `batches` are the loads
    that it learned from, `lineage` where those came from (`trainer.training_provenance`; empty in
    records of before), `seconds` goes by step, `created` is in UTC.
    """

    version: str
    kind: str
    champion_reason: str
    evaluations: dict[str, dict[str, Metrics]]
    curves: dict[str, dict[str, Curves]]
    parameters: dict[str, Any]
    features: list[str]
    derived: dict[str, str]
    form: Form
    extract_date: date
    signature: str
    label: dict[str, Any]
    rows: int
    seconds: dict[str, float]
    created: datetime
    held_out_form: Form | None = None
    batches: list[str] = field(default_factory=list)
    lineage: dict[str, Any] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, float]:
        """The champion's figures over all rows, each judged by a model that did not see it."""
        return asdict(self.evaluations[self.kind][OUT_OF_FOLD])

    @property
    def holdout(self) -> dict[str, float]:
        """The champion's figures on the hold-out, trained on the rest."""
        return asdict(self.evaluations[self.kind][HOLDOUT])

    def summary(self) -> dict[str, Any]:
        """What is said of the model wherever it is spoken of."""
        return {
            "version": self.version,
            "kind": self.kind,
            "champion_reason": self.champion_reason,
            "label": self.label,
            **self.metrics,
            "holdout": self.holdout,
        }


def write(record: ModelRecord) -> str:
    """The record as JSON text."""
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
    """The record of the text.

    Raises:
        ValueError, KeyError, TypeError: the text is not a record.
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


def _form(stored: Mapping[str, Any] | None) -> Form | None:
    return from_json(stored) if stored else None


def _label(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The record's label; what records of before do not say of it is what it was then.

    There was one kind first, of one extract; then nothing that was published was left out.
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
