"""Render the evidence of a model version as one self-contained page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from churn.reports.figures import MISSING, Figures
from churn.reports.report import count, model_plots, page
from churn.reports.report_data import evaluations
from feature_repo.feature_definitions import read_feature_columns
from lakehouse.domain import read_domain
from trainer import decisions, full_evaluation, registry
from trainer.record import ModelRecord

NAMES = {
    "roc_auc": ("ROC-AUC", "decimal"),
    "pr_auc": ("PR-AUC", "decimal"),
    "brier": ("Brier score", "decimal"),
    "accuracy": ("Accuracy", "decimal"),
    "f1": ("F1", "decimal"),
    "top_decile_lift": ("Lift of the first tenth", "two"),
    "maximum_profit": ("Maximum profit", "amount"),
    "expected_maximum_profit": ("Expected maximum profit", "amount"),
}
# Columns of the table of slices: heading, key and format.
SLICE_COLUMNS = (
    ("Customers", "rows", "whole"),
    ("Left", "observed", "percent"),
    ("Predicted", "predicted", "percent"),
    ("Gap, points", "gap", "points"),
    ("Leavers found", "found", "percent"),
    ("ROC-AUC", "roc_auc", "decimal"),
    ("Brier", "brier", "decimal"),
)
DECILE_COLUMNS = (
    ("Customers", "customers", "whole"),
    ("Leavers", "leavers", "whole"),
    ("Lift", "lift", "two"),
    ("Leavers so far", "gain", "percent"),
    ("Expected profit", "profit", "money"),
    ("Profit so far", "profit_so_far", "money"),
)


@dataclass(frozen=True)
class Evidence:
    """What is known about a version.

    Attributes:
        record: Its record.
        documents: The stored documents by file name; an evaluation or a decision may be missing.
        is_champion: Whether it is the champion.
        changes: When it became champion, by which user and why.
        bill: The software it is made with, as CycloneDX.
    """

    record: ModelRecord
    documents: Mapping[str, Any]
    is_champion: bool
    changes: list[dict[str, Any]]
    bill: dict[str, Any]


def evidence_page(evidence: Evidence, is_sample: bool = False) -> str:
    """Return the page as self-contained HTML; all its figures are those of the documents."""
    figures, record = Figures(evidence.documents), evidence.record
    evaluation = evidence.documents.get(full_evaluation.FILE)
    views = {
        "record": record,
        "evidence": evidence,
        "figures": figures,
        "has": lambda document, *place: figures.find(document, *place) is not MISSING,
        "RECORD": registry.RECORD,
        "EVALUATION": full_evaluation.FILE,
        "DECISION": decisions.FILE,
        "names": NAMES,
        "slice_columns": SLICE_COLUMNS,
        "decile_columns": DECILE_COLUMNS,
        "evaluation": evaluation,
        "decision": evidence.documents.get(decisions.FILE),
        "example": read_domain().report.example_id,
        "features": list(_describe_features(record)),
        "parameters": dict(_list_parameters(record.parameters)),
        "limits": list(_list_limits(record, evaluation)),
        "plots": list(_draw_plots(record, evaluation)),
        "count": count,
    }
    return page("evidence.html.j2", views, is_sample)


def _describe_features(record: ModelRecord) -> Iterator[tuple[str, str]]:
    """Yield each feature with its description today; a feature may no longer be declared."""
    described = {each.name: each.description for each in read_feature_columns()}
    for name in record.features:
        yield name, described.get(name, "no longer declared")


def _list_parameters(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the parameters, nested ones with dots in their names."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _list_parameters(value, f"{above}{name}.")
        else:
            listed = ", ".join(map(str, value)) if isinstance(value, list) else value
            yield f"{above}{name}", listed


def _list_limits(record: ModelRecord, evaluation: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield what the version can't do and what is not known about it, as sentences."""
    yield (
        "A probability says how many of many such customers left, not what one customer will do."
    )
    yield (
        "Reasons say what raises or lowers the model's score, not that changing them keeps a "
        "customer: only a campaign with a control group shows that."
    )
    if record.label["kind"] == "workbook":
        yield (
            "The label is the workbook's own mark. It does not say when a customer left, so the "
            "model knows no date by which someone will leave."
        )
    for item in record.label["left_out"]:
        yield f"Not learned from: {item['extract_date']}, {item['reason']}."
    if evaluation is None:
        yield "The version was not evaluated in full: intervals, slices and behaviour are unknown."
        return
    if not evaluation["training_set"]["of_the_version"]:
        yield "The full evaluation is of the same recipe, on later data than the version's."
        if evaluation.get("label") and evaluation["label"]["kind"] != record.label["kind"]:
            yield (
                "The full evaluation is of another question than the training: "
                f"{evaluation['label']['reason']}."
            )
    if evaluation["temporal"] is None:
        yield "There is one extract only, so it is not known how the model does on a later one."
    for group in evaluation["slices"]:
        if group["flagged"]:
            yield (
                f"The probabilities are off for {group['slice']}, {group['group']}: beyond the "
                "declared gap and beyond chance."
            )
    for check in evaluation["behaviour"]:
        if not check["holds"]:
            yield f"It does not behave as declared: {check['what']}."
    for leak in evaluation["leaks"]["found"]:
        yield f"{leak['feature']} alone knows too much about who leaves."


def _draw_plots(record: ModelRecord, evaluation: Mapping[str, Any] | None) -> Iterator[Any]:
    """Yield the plots: those of the full evaluation if there is one, else those of the record."""
    if evaluation is None:
        if record.curves:
            yield from model_plots(evaluations(record), {"kind": record.kind})
        return
    # This module imports the plotting library, which takes a second.
    from churn.reports.evaluation_plots import plots

    yield from plots({**record.summary(), **evaluation})
