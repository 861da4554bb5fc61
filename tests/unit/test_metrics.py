"""Metrics, curves and the bootstrap's counts, on predictions that can be counted by hand."""

import json

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from lakehouse.domain import ProfitTerms
from trainer import bootstrap, metrics
from trainer.splits import BLOCKS

TERMS = ProfitTerms(6, 14, 200, 10, 1)
# 3 leavers, 5 stayers; .6 ties a leaver with a stayer.
BY_HAND = [(0.9, 1), (0.7, 0), (0.6, 1), (0.6, 0), (0.4, 1), (0.3, 0), (0.2, 0), (0.1, 0)]


def predictions(probability: NDArray[np.float64], churned: NDArray[np.int32]) -> pd.DataFrame:
    parts = [f"fold_{place % 5}" for place in range(len(churned))]
    frame = pd.DataFrame({"part": parts, "churned": churned, "probability": probability})
    return frame.astype({"part": "category"}).sort_values(["probability", "churned"])


def many(rows: int = 5000) -> pd.DataFrame:
    drawn = np.random.default_rng(1)
    probability = drawn.beta(1, 3, rows).round(3)
    return predictions(probability, (drawn.random(rows) < probability).astype(np.int32))


def test_the_figures_are_those_of_the_textbook() -> None:
    frame = predictions(*map(np.array, zip(*BY_HAND, strict=True))).assign(part="fold_0")
    figures = metrics.metrics([("k", frame)], 0.5, TERMS)["k"]
    assert figures["fold_0"] == figures["out_of_fold"]
    pooled = figures["out_of_fold"]
    assert (pooled.rows, pooled.positives) == (8, 3)
    # Pairs in the right order: 5 + 3.5 + 3 of 15.
    assert pooled.roc_auc == pytest.approx(11.5 / 15)
    assert pooled.pr_auc == pytest.approx((1 / 1 + 2 / 4 + 3 / 5) / 3)
    assert pooled.accuracy == pytest.approx(5 / 8)
    assert pooled.f1 == pytest.approx(2 * 2 / (4 + 3))
    assert pooled.brier == pytest.approx(
        sum((churned - probability) ** 2 for probability, churned in BY_HAND) / 8
    )


def test_what_the_labels_do_not_define_is_none() -> None:
    found = metrics.measure(many().assign(churned=0), 1.1, TERMS)
    assert (found.roc_auc, found.pr_auc, found.f1) == (None, None, None)
    assert found.accuracy == 1


def test_curves_are_small_and_complete() -> None:
    frame = many()
    (found,) = metrics.curves([("k", frame)])["k"].values()
    json.dumps(found, allow_nan=False)
    assert all(len(points) <= metrics.CURVE_POINTS for points in found.values())
    assert found["roc"][0] == dict.fromkeys(found["roc"][0], 0.0) | {"threshold": 1.0}
    assert found["roc"][-1]["false_positive_rate"] == found["pr"][-1]["recall"] == 1
    assert found["pr"][-1]["precision"] == pytest.approx(frame["churned"].mean())
    bins = found["calibration"]
    assert len(bins) == 10 and sum(each["count"] for each in bins) == len(frame)
    assert all(abs(each["predicted"] - each["observed"]) < 0.1 for each in bins)
    marks = [each["threshold"] for each in found["thresholds"]]
    assert marks == [mark / 20 for mark in range(1, 20)]
    assert sum(each["churned"] for each in found["histogram"]) == frame["churned"].sum()


def test_counts_by_block_give_the_metrics_of_all_rows() -> None:
    frame = many().assign(block=lambda rows: np.arange(len(rows)) % BLOCKS)
    counted = bootstrap.count(frame, 0.5, TERMS)
    whole = {
        name: value[0] for name, value in counted.compute_metrics(bootstrap.ALL_BLOCKS).items()
    }
    exact = metrics.measure(frame, 0.5, TERMS)
    for name in ("brier", "accuracy", "f1"):
        assert whole[name] == pytest.approx(getattr(exact, name), abs=1e-9)
    for name in ("roc_auc", "pr_auc"):
        assert whole[name] == pytest.approx(getattr(exact, name), abs=5e-3)
