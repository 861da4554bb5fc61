"""A model version's page: figures and plots of both kinds, for MLflow and whoever it is sent to."""

from churn.reports.report import SCORES, count, model_plots, page, score_columns
from churn.reports.report_data import evaluations
from trainer.record import ModelRecord


def model_page(record: ModelRecord) -> str:
    """The page, self-contained."""
    kinds = evaluations(record)
    chosen = {"kind": record.kind}
    views = {
        "record": record,
        "score_columns": list(score_columns(kinds, chosen, "chosen")),
        "score_names": SCORES,
        "plots": list(model_plots(kinds, chosen)),
        "count": count,
    }
    return page("model.html.j2", views)
