"""Render a model version's page: metrics and plots of both model types, for MLflow and sharing."""

from churn.reports.report import SCORES, count, model_plots, page, score_columns
from churn.reports.report_data import evaluations
from trainer.record import ModelRecord


def model_page(record: ModelRecord, is_sample: bool = False) -> str:
    """Return the page as self-contained HTML."""
    kinds = evaluations(record)
    chosen = {"kind": record.kind}
    views = {
        "record": record,
        "score_columns": list(score_columns(kinds, chosen, "chosen")),
        "score_names": SCORES,
        "plots": list(model_plots(kinds, chosen)),
        "count": count,
    }
    return page("model.html.j2", views, is_sample)
