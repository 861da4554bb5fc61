"""Evaluate a model version in full, for `churn evaluate`.

Every probability in the evaluation is from a model that was not trained on the row. The evaluation
is stored beside the version's record, and repeated when the declared protocol or the costs have
changed.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml
from pyspark.sql.connect.dataframe import DataFrame

from lakehouse.atomic_write import atomic_write
from lakehouse.domain import Baseline, read_domain
from lakehouse.process import Log
from lakehouse.settings import Settings
from trainer import bootstrap, hazard, leakage, metrics, profit, registry, splits
from trainer.cross_validation import KEPT_COLUMNS, TrainingJob, fold_jobs, predict
from trainer.explain import log_odds_column
from trainer.metrics import OUT_OF_FOLD, Metrics
from trainer.parameters import Parameters
from trainer.pipeline import LABEL, derive_inputs
from trainer.promotion import slices_column
from trainer.record import ModelRecord
from trainer.retention_campaign import Campaign
from trainer.training_data import TrainingRows, build_training_frame

if TYPE_CHECKING:
    from feature_repo.training import TrainingSet

DECLARED = Path(__file__).with_name("full_evaluation.yml")
FILE = "evaluation.json"
METRIC_NAMES = ("roc_auc", "pr_auc", "brier", "accuracy", "f1", *metrics.PROFIT_NAMES)
PRIOR = "share of leavers"
LATEST = "latest"


@dataclass(frozen=True)
class EvaluationConfig:
    """Protocol of an evaluation; the comments of `full_evaluation.yml` explain the fields."""

    repeats: int
    shares: tuple[float, ...]
    grid: dict[str, list[dict[str, Any]]]
    baseline: Baseline | None
    gap: float
    suspicious: float
    behaviour: dict[str, dict[str, Any]]


def read_config(path: Path = DECLARED, domain: Path | None = None) -> EvaluationConfig:
    """Return the declared protocol, with what the domain adds to it."""
    declared, model = yaml.safe_load(path.read_text()), read_domain(domain).model
    return EvaluationConfig(
        shares=tuple(declared.pop("shares")),
        baseline=model.baseline,
        behaviour=model.behaviour,
        **declared,
    )


def config_hash(parameters: Parameters, protocol: EvaluationConfig, campaign: Campaign) -> str:
    """Return the hash of everything that determines an evaluation.

    If the stored hash differs, the evaluation must be repeated.
    """
    parts = [asdict(parameters), asdict(protocol), asdict(campaign)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read(settings: Settings, version: str) -> dict[str, Any] | None:
    """Return the evaluation beside the version's record, or None if it is missing or damaged."""
    try:
        evaluation: dict[str, Any] = json.loads(
            (registry.folder(settings) / version / FILE).read_text()
        )
        return evaluation
    except (FileNotFoundError, ValueError):
        return None


def is_current(evaluation: Mapping[str, Any] | None, stamp: str) -> bool:
    """Return whether a stored evaluation need not be repeated.

    Evaluations from before the label was stored do not say which question they answer.
    """
    return bool(evaluation and evaluation["stamp"] == stamp and "label" in evaluation)


def write(settings: Settings, version: str, evaluation: Mapping[str, Any]) -> None:
    """Write the evaluation beside the version's record."""
    with atomic_write(registry.folder(settings) / version / FILE) as draft:
        draft.write_text(json.dumps(evaluation, indent=1))


def evaluate(  # long: names all parts of an evaluation
    record: ModelRecord,
    training: "TrainingSet",
    parameters: Parameters,
    protocol: EvaluationConfig,
    campaign: Campaign,
    log: Log,
    advance: Callable[[int, int, str], None],
) -> dict[str, Any]:
    """Return the evaluation of the record's recipe on the training set, as JSON types.

    `hazard` is the fitted model of the time until customers leave, or None; the caller stores it
    apart.
    """
    rows = build_training_frame(training, parameters)
    histories = hazard.select_histories(rows, training, parameters)
    model, time = hazard.evaluate(histories, parameters, advance) if histories else (None, None)
    campaign, stamp = (
        campaign.with_hazard(model, derive_inputs(parameters)),
        config_hash(parameters, protocol, campaign),
    )
    frame = _add_slices(rows, training, parameters, protocol, campaign)
    trainings = _all_jobs(frame, record.kind, parameters, protocol)
    numbers = count(1)
    predicted = predict(
        frame, trainings, lambda title: advance(next(numbers), len(trainings), title)
    )
    predictions = predicted.union(_baselines(frame, parameters, protocol)).localCheckpoint()
    log("measuring")
    figures = metrics.metrics(
        metrics.fetch(predictions, "part"), parameters.threshold, parameters.profit
    )
    repeats = predictions.where("kind like 'repeat%'")
    first_round = repeats.where("kind = 'repeat_0'")
    ((_, first),) = metrics.fetch(first_round, "part", "customer_id")
    cross_validated = _summarize_repeats(repeats, figures, parameters, protocol)
    return {
        "stamp": stamp,
        "training_set": {
            "extract_date": training.extract_date.isoformat(),
            "rows": rows.count,
            "of_the_version": training.signature == record.signature,
        },
        # That of the evaluated rows, which may differ from the one that the version learned.
        "label": asdict(training.label),
        "cross_validated": cross_validated,
        "baselines": _pool_values(figures, _name_baselines(protocol)),
        "learning_curve": _learning_curve(figures, rows.count, parameters, protocol),
        "grid": _grid(figures, record.kind, protocol),
        "temporal": _metric_values(figures[LATEST]["latest"]) if LATEST in figures else None,
        "calibration": _calibration(first, parameters, cross_validated),
        "threshold": _compute_gain_by_threshold(repeats, campaign) if campaign.revenue else None,
        "deciles": profit.add_profit(_deciles(first), parameters.profit),
        "profit": _profit(first, parameters),
        "slices": _slices(first_round, parameters, protocol),
        "behaviour": behaviour(record, rows.frame, protocol),
        "leaks": {
            **_leaks(rows, training, parameters),
            "suspicious": cross_validated["roc_auc"]["mean"] > protocol.suspicious,
        },
        "time": time,
        "hazard": model,
    }


def _leaks(
    rows: TrainingRows, training: "TrainingSet", parameters: Parameters
) -> dict[str, list[dict[str, Any]]]:
    scores = leakage.univariate_scores(
        rows.frame, rows.count, training.features, parameters.leaks.fewest
    )
    strongest = sorted(scores, key=lambda leak: -leak.roc_auc)[:10]
    return {
        "found": [asdict(each) for each in leakage.find_leaks(scores, parameters.leaks)],
        "strongest": [asdict(each) for each in strongest],
    }


# --- trainings -----------------------------------------------------------------------------------


def _add_slices(
    rows: TrainingRows,
    training: "TrainingSet",
    parameters: Parameters,
    protocol: EvaluationConfig,
    campaign: Campaign,
) -> DataFrame:
    """Return the rows with folds for each repeat, learning curve's share, value and slices."""
    columns = training.group_columns
    repeated = [
        f"{splits.fold(columns, parameters.seed + repeat, parameters.folds)} as fold_{repeat}"
        for repeat in range(protocol.repeats)
    ]
    return rows.frame.selectExpr(
        *KEPT_COLUMNS,
        LABEL,
        "inputs",
        "fold",
        f"cast({campaign.revenue or 0} as double) as revenue",
        *(f"`{name}`" for name in (protocol.baseline.groups if protocol.baseline else ())),
        *repeated,
        f"{splits.share(columns, parameters.seed)} as share",
        "event_timestamp = max(event_timestamp) over () as is_latest",
        f"{slices_column(parameters.slices)} as slices",
    ).localCheckpoint()


PREDICTION_COLUMNS = (*KEPT_COLUMNS, "revenue", "slices")


def _all_jobs(
    rows: DataFrame, kind: str, parameters: Parameters, protocol: EvaluationConfig
) -> list[TrainingJob]:
    jobs = []
    for repeat in range(protocol.repeats):
        for fit in fold_jobs(kind, parameters):
            condition = fit.validation_filter.replace("fold", f"fold_{repeat}")
            title = f"round {repeat + 1} of {protocol.repeats}, {fit.title}"
            jobs.append(
                replace(fit, name=f"repeat_{repeat}", validation_filter=condition, title=title)
            )
    for share in protocol.shares[:-1] if protocol.shares[-1:] == (1.0,) else protocol.shares:
        for fit in fold_jobs(kind, parameters):
            trained = f"not ({fit.validation_filter}) and share < {share}"
            title = f"learning curve, {share:.0%}, {fit.title}"
            jobs.append(replace(fit, name=f"share_{share}", training_filter=trained, title=title))
    for number, others in enumerate(protocol.grid.get(kind, [])):
        tried = parameters.with_settings(kind, **others)
        for fit in fold_jobs(kind, tried):
            title = f"other parameters, {_format_settings(others)}, {fit.title}"
            jobs.append(replace(fit, name=f"grid_{number}", title=title))
    if rows.where("not is_latest").limit(1).count():
        jobs.append(
            TrainingJob(kind, "latest", "is_latest", "the latest extract", parameters, LATEST)
        )
    return [replace(fit, kept_columns=PREDICTION_COLUMNS) for fit in jobs]


def _name_baselines(protocol: EvaluationConfig) -> dict[str, tuple[str, ...]]:
    """Return the features that each baseline groups customers by, by the baseline's name."""
    declared = protocol.baseline
    return {PRIOR: ()} | ({declared.name: declared.groups} if declared else {})


def _baselines(rows: DataFrame, parameters: Parameters, protocol: EvaluationConfig) -> DataFrame:
    """Predict the share of churned customers in the other folds: overall, and in each group."""
    predictions = None
    for name, groups in _name_baselines(protocol).items():
        by = ", ".join(["1", *(f"`{group}`" for group in groups)])
        others = (
            f"(sum({LABEL}) over (partition by {by}) - sum({LABEL}) over (partition by {by}, fold))"
            f" / nullif(count(*) over (partition by {by})"
            f" - count(*) over (partition by {by}, fold), 0)"
        )
        predicted = rows.selectExpr(
            f"'{name}' as kind",
            "concat('fold_', fold) as part",
            LABEL,
            f"coalesce({others}, 0.5D) as probability",
            *PREDICTION_COLUMNS,
        )
        predictions = predicted if predictions is None else predictions.union(predicted)
    assert predictions is not None
    return predictions


# --- metrics -------------------------------------------------------------------------------------

MetricsByKind = Mapping[str, Mapping[str, Metrics]]


def _metric_values(metrics: Metrics) -> dict[str, float]:
    return {**{name: getattr(metrics, name) for name in METRIC_NAMES}, "rows": metrics.rows}


def _pool_values(figures: MetricsByKind, kinds: Iterable[str]) -> dict[str, dict[str, float]]:
    return {kind: _metric_values(figures[kind][OUT_OF_FOLD]) for kind in kinds}


def _summarize_repeats(
    repeats: DataFrame, figures: MetricsByKind, parameters: Parameters, protocol: EvaluationConfig
) -> dict[str, Any]:
    """Return each metric's mean over the rounds, its interval, and its deviation across folds."""
    names = [f"repeat_{repeat}" for repeat in range(protocol.repeats)]
    counted = bootstrap.count_predictions(repeats, parameters.threshold, parameters.profit)
    drawn = bootstrap.average_metrics(
        [counted[name] for name in names], bootstrap.draw_replicates(parameters.seed)
    )
    summary: dict[str, Any] = {}
    for figure in METRIC_NAMES:
        rounds = [getattr(figures[name][OUT_OF_FOLD], figure) for name in names]
        interval = bootstrap.confidence_interval(drawn[figure], math.fsum(rounds) / len(rounds))
        by_fold = [
            getattr(figures[name][f"fold_{k}"], figure)
            for name in names
            for k in range(parameters.folds)
        ]
        summary[figure] = {**asdict(interval), "deviation_of_folds": _deviation(by_fold)}
    return {**summary, "rounds": protocol.repeats, "folds": parameters.folds}


def _deviation(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _learning_curve(
    figures: MetricsByKind, rows: int, parameters: Parameters, protocol: EvaluationConfig
) -> list[dict[str, float]]:
    learned = rows * (parameters.folds - 1) / parameters.folds
    names = {share: f"share_{share}" for share in protocol.shares} | {1.0: "repeat_0"}
    return [
        {"share": share, "rows_learned_from": round(share * learned)}
        | {name: getattr(figures[names[share]][OUT_OF_FOLD], name) for name in METRIC_NAMES}
        for share in protocol.shares
    ]


def _grid(figures: MetricsByKind, kind: str, protocol: EvaluationConfig) -> list[dict[str, Any]]:
    """Return the metrics of the declared parameters and of the others, on the same folds."""
    tried: list[tuple[dict[str, Any], str]] = [({}, "repeat_0")] + [
        (others, f"grid_{number}") for number, others in enumerate(protocol.grid.get(kind, []))
    ]
    return [
        {
            "parameters": _format_settings(others) or "as declared",
            **_metric_values(figures[name][OUT_OF_FOLD]),
        }
        for others, name in tried
    ]


def _format_settings(others: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in others.items())


def _calibration(
    first: pd.DataFrame, parameters: Parameters, cross_validated: Mapping[str, Any]
) -> dict[str, Any]:
    """Return ten equal parts by probability, and whether rescaling the log-odds would help.

    The scaling (Platt) is trained on the other folds. It helps if it lowers the Brier score by more
    than a thousandth.
    """
    bins = [
        {
            **{name: part[name] for name in ("predicted", "observed")},
            "customers": int(part["count"]),
        }
        for part in metrics.calibration(first, 10)
    ]
    error = math.fsum(
        abs(part["predicted"] - part["observed"]) * part["customers"] for part in bins
    ) / len(first)
    brier, slopes = _fit_platt_scaling(first, parameters)
    return {
        "bins": bins,
        "expected_error": error,
        "slope": math.fsum(slopes) / len(slopes),
        "brier_recalibrated": brier,
        "recalibration_helps": cross_validated["brier"]["mean"] - brier > 0.001,
    }


def _fit_platt_scaling(rows: pd.DataFrame, parameters: Parameters) -> tuple[float, list[float]]:
    """Return the Brier score after Platt scaling, and the slope of each fold."""
    from sklearn.linear_model import LogisticRegression

    chance, churned = rows["probability"].to_numpy(), rows["churned"].to_numpy()
    odds = np.log(np.maximum(chance, 1e-15) / np.maximum(1 - chance, 1e-15)).reshape(-1, 1)
    squared, slopes = 0.0, []
    for k in range(parameters.folds):
        errors = (rows["part"] == f"fold_{k}").to_numpy()
        fitted = LogisticRegression(C=np.inf).fit(odds[~errors], churned[~errors])
        slopes.append(float(fitted.coef_[0, 0]))
        stretched = fitted.predict_proba(odds[errors])[:, 1]
        squared += float(((churned[errors] - stretched) ** 2).sum())
    return squared / len(rows), slopes


def _compute_gain_by_threshold(repeats: DataFrame, campaign: Campaign) -> dict[str, Any]:
    """Return the gain of a campaign per 1,000 customers, for each threshold.

    The campaign contacts every customer from the threshold on. It costs one contact for each of
    them, and saves the declared share of the revenue lost with churned customers.
    """
    rows = pd.concat(part for _, part in metrics.fetch(repeats, "revenue"))
    saved = campaign.effect.value * rows["churned"] * rows["revenue"]
    curve = []
    for mark in range(50):
        called = rows["probability"] >= mark / 50
        gain = float((saved[called] - campaign.contact_cost).sum()) / len(rows) * 1000
        approached = float(called.mean())
        curve.append({"threshold": mark / 50, "gain": gain, "approached": approached})
    best = max(curve, key=lambda point: point["gain"])
    return {
        "curve": curve,
        "best": best,
        "contact": campaign.contact_cost,
        "kept": campaign.effect.value,
        "effect": campaign.effect.source,
    }


def _deciles(first: pd.DataFrame) -> list[dict[str, float]]:
    """Return the churned customers of each decile, their lift, and the gain up to it.

    The first decile has the highest risk.
    """
    ranked = first.sort_values(["probability", "customer_id"], ascending=[False, True])["churned"]
    leavers, found, deciles = int(ranked.sum()), 0, []
    for number, part in enumerate(np.array_split(ranked.to_numpy(), 10), 1):
        found += int(part.sum())
        lift = float(part.mean()) / (leavers / len(ranked))
        deciles.append(
            {
                **{"decile": number, "customers": len(part), "leavers": int(part.sum())},
                **{"lift": lift, "gain": found / leavers},
            }
        )
    return deciles


def _profit(first: pd.DataFrame, parameters: Parameters) -> dict[str, Any]:
    """Return what the ranking of the first round is worth, and what that is computed from."""
    counts = profit.count_by_score(first["churned"].to_numpy(), first["probability"].to_numpy())
    return {
        **asdict(profit.compute_profit(*counts, parameters.profit)),
        "terms": asdict(parameters.profit),
    }


def behaviour(
    record: ModelRecord, rows: DataFrame, protocol: EvaluationConfig
) -> list[dict[str, Any]]:
    """Return how the model's probabilities change when one thing changes.

    `rows` contains the features.
    """
    odds = log_odds_column(record.form, record.derived)
    results = []
    for name, declared in protocol.behaviour.items():
        sets: dict[str, Any] = declared["sets"]
        changed = [
            f"cast({sets[each]} as double) as `{each}`" if each in sets else f"`{each}`"
            for each in record.features
        ]
        moved = f"1 / (1 + exp(-{odds})) - before"
        either_way = bool(declared.get("either_way"))
        shift = (
            rows.where(declared.get("for", "true"))
            .selectExpr(f"1 / (1 + exp(-{odds})) as before", *changed)
            .selectExpr(f"avg({f'abs({moved})' if either_way else moved}) as shift")
            .toArrow()
            .to_pylist()[0]["shift"]
        )
        results.append(
            {
                "what": name,
                "shift": shift,
                "at_most": declared["at_most"],
                "either_way": either_way,
                "holds": shift is None or shift <= declared["at_most"],
            }
        )
    return results


def _slices(
    predictions: DataFrame, parameters: Parameters, protocol: EvaluationConfig
) -> list[dict[str, Any]]:
    """Return each slice's metrics.

    A slice is flagged if predicted and observed churn differ by more than noise.
    """
    by_slice = predictions.selectExpr("explode(slices) as kind", LABEL, "probability")
    found = {kind: _slice(rows, parameters, protocol) for kind, rows in metrics.fetch(by_slice)}
    return [
        {"slice": name, "group": group} | found[known]
        for name, groups in parameters.slices.items()
        for group in groups
        if (known := f"{name}: {group}") in found
    ]


def _slice(
    rows: pd.DataFrame, parameters: Parameters, protocol: EvaluationConfig
) -> dict[str, Any]:
    figures = metrics.measure(rows, parameters.threshold, parameters.profit)
    chance, leavers = rows["probability"], rows[rows["churned"] == 1]
    observed, predicted = figures.positives / figures.rows, float(chance.mean())
    noise = math.sqrt((chance * (1 - chance)).sum()) / figures.rows
    called = leavers["probability"] >= parameters.threshold
    return {
        "rows": figures.rows,
        "observed": observed,
        "predicted": predicted,
        "gap": predicted - observed,
        "flagged": abs(predicted - observed) > max(protocol.gap, 2 * noise),
        "found": float(called.mean()) if len(leavers) else None,
        "roc_auc": figures.roc_auc,
        "brier": figures.brier,
    }
