"""Models for the unit tests, as training would have written them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from trainer.metrics import Metrics
from trainer.portable_model import Node, PortableModel
from trainer.record import ModelRecord

FIGURES = Metrics(100, 26, 0.85, 0.66, 0.8, 0.58, 0.13)
# A tree that splits by contract, then its left branch by tenure.
SPLITS = [
    Node(-0.5, "contract_month_to_month", 0.5, 1, 4),
    Node(-1.0, "tenure", 6.5, 2, 3),
    Node(-0.25),
    Node(-1.5),
    Node(0.75),
]


def a_record(form: PortableModel, features: Sequence[str], **others: Any) -> ModelRecord:
    """The record of a model; `others` are fields of it that are to be others."""
    record = ModelRecord(
        version="20251203-0123abcd",
        kind="logistic_regression",
        champion_reason="the default",
        evaluations={"logistic_regression": {"out_of_fold": FIGURES, "holdout": FIGURES}},
        curves={},
        parameters={"log1p": ["tenure"]},
        features=list(features),
        derived={"log1p_tenure": "log1p(`tenure`)"},
        form=form,
        extract_date=date(2025, 12, 3),
        signature="s",
        label={"kind": "workbook"},
        rows=100,
        seconds={},
        created=datetime(2025, 12, 4, tzinfo=UTC),
    )
    return replace(record, **others)
