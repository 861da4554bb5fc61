"""What `churn evaluate` says of a stored evaluation, without a server."""

from pathlib import Path
from typing import Any

import pytest
from model_records import SPLITS, a_record

from churn.pipeline import commands
from churn.pipeline.evaluation_report import evaluate_champion, format_evaluation, format_months
from churn.reports.front_page import EVALUATION
from churn.reports.report import format_signed
from lakehouse.progress import Steps
from lakehouse.settings import read_settings
from trainer import full_evaluation, registry
from trainer.portable_model import TreeEnsemble

LABEL = {"kind": "observed", "reason": "churn observed in the next extract"}
INTERVAL = {"mean": 0.713, "low": 0.688, "high": 0.729, "deviation_of_folds": 0.02}


def make_evaluation(**others: Any) -> dict[str, Any]:
    """Return an evaluation of other rows than those of the training."""
    worth = dict.fromkeys(("expected_maximum_profit", "maximum_profit"), 35.92)
    return {
        "training_set": {"extract_date": "2025-02-01", "rows": 5180, "of_the_version": False},
        "label": LABEL,
        "cross_validated": dict.fromkeys(full_evaluation.METRIC_NAMES, INTERVAL),
        "profit": {**worth, "maximum_profit_share": 0.46, "top_decile_lift": 2.94},
        "baselines": {},
        "threshold": None,
        "slices": [],
        "behaviour": [],
        "leaks": {"found": []},
        **others,
    }


def test_an_evaluation_has_the_label_of_its_own_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read_settings({"CHURN_HOME": str(tmp_path)})
    record = a_record(TreeEnsemble([SPLITS]), [], label={"kind": "workbook", "reason": "as marked"})
    page = registry.folder(settings) / record.version / EVALUATION
    page.parent.mkdir(parents=True)
    page.touch()
    monkeypatch.setattr(commands, "evaluate", lambda *_: (record, make_evaluation()))
    figures = evaluate_champion(settings, Steps(1), force=False)
    assert figures["label"] == LABEL != record.label
    lines = format_evaluation(figures)
    assert "label: churn observed in the next extract" in lines
    assert "evaluated on: 5,180 rows, extracts up to 2025-02-01" in lines
    text = "\n".join(lines)
    # The record's data has another name than the evaluated data, and no figure between them.
    assert f"{record.rows:,} rows of the extracts up to {record.extract_date}" in text
    assert "hold-out" not in text
    assert "$35.92 if 46%" in text
    same = {**figures["training_set"], "of_the_version": True}
    assert "learned from other data" not in "".join(
        format_evaluation({**figures, "training_set": same})
    )


def test_an_evaluation_without_its_label_is_repeated() -> None:
    evaluation = {"stamp": "s", "label": LABEL}
    assert full_evaluation.is_current(evaluation, "s")
    assert not full_evaluation.is_current(evaluation, "other")
    assert not full_evaluation.is_current({"stamp": "s"}, "s")
    assert not full_evaluation.is_current(None, "s")


def test_no_zero_has_a_sign() -> None:
    assert [format_signed(value, 1) for value in (-0.04, 0.04, -0.06, 0.06)] == [
        *("0.0", "0.0"),
        *("−0.1", "+0.1"),
    ]
    assert (format_months("1"), format_months("12")) == ("1 month", "12 months")
