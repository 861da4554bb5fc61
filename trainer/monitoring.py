"""Monitor the champion for drift, and compare its predictions with realised churn.

The module checks whether the customers still resemble those that the champion was trained on, and
whether the predicted churn occurred. It also reports what waits for an operator: an extract that is
excluded from training, and a new version that may not be promoted automatically.

Everything but the waiting version is computed from data that is kept permanently:
`audit.extract_profiles`, `audit.gate_results`, `gold.churn_scores`, `gold.churn_labels`. The same
extract therefore gives the same alerts at any time.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from pyspark.sql.connect.session import SparkSession

from feature_repo.labels import (
    OBSERVED,
    Exclusion,
    Pair,
    read_incomparable_dates,
    read_pair_rules,
    read_pairs,
    select_eligible,
    select_observed_rows,
    select_plausible,
)
from feature_repo.publications import Publication, read_publications
from lakehouse.amounts import format_number
from lakehouse.settings import Settings
from lakehouse.sql import bind, literal, query_if_exists
from trainer import decisions, registry

DECLARED = Path(__file__).with_name("monitoring.yml")
# A band that is empty on one side would make the index infinite: half a customer represents none.
EMPTY_BAND_COUNT = 0.5

PROFILES = """
select batch_id, feature, bin, sum(customers) as customers
from audit.extract_profiles where batch_id in ({batches}) group by batch_id, feature, bin
"""
SCORE_BANDS = """
select _batch_id as batch_id, cast(least(floor(probability * 10), 9) as int) as band,
    count(*) as customers
from gold.churn_scores
where model_version = :version and _batch_id in ({batches})
group by batch_id, band
"""
# The scores at the time when the next extract was published: those of the version that scored last.
REALISED_CHURN = """
with

scores as (

    select * from gold.churn_scores where extract_date = :day and _batch_id = :batch

),

final as (

    select
        scores.model_version,
        count(*) as customers,
        sum(scores.probability) as foreseen,
        sum(scores.probability * (1 - scores.probability)) as variance,
        sum(labels.churned) as realised

    from scores

    inner join {labels} as labels
        on scores.customer_id = labels.customer_id

    group by scores.model_version

)

select * from final
"""


@dataclass(frozen=True)
class MonitoringRules:
    """The declared bounds; the comments of `monitoring.yml` explain each."""

    feature_drift: float
    score_drift: float
    gap: float
    deviations: float


@dataclass(frozen=True)
class MonitoredMetric:
    """A monitored metric.

    Attributes:
        watched: What is monitored.
        against: What it is compared with.
        figure: Size of the deviation.
        bound: The bound; None if the condition is a matter of yes or no.
        alert: Whether the metric raises an alert.
        words: Description of the deviation.
    """

    watched: str
    against: str
    figure: float
    bound: float | None
    alert: bool
    words: str


@dataclass(frozen=True)
class MonitoringResult:
    """The latest extract's monitoring result for the champion.

    Attributes:
        extract_date: Date of the extract.
        champion: Version of the champion.
        figures: All metrics.
    """

    extract_date: date
    champion: str | None
    figures: tuple[MonitoredMetric, ...]

    @property
    def alerts(self) -> tuple[MonitoredMetric, ...]:
        """Return the metrics that raise an alert."""
        return tuple(metric for metric in self.figures if metric.alert)

    @property
    def proposal(self) -> str | None:
        """Return the proposed action in one sentence, or None if there is no alert."""
        if not self.alerts:
            return None
        named = "; ".join(alert.words for alert in self.alerts)
        return (
            f"{self.champion or 'the model'} requires attention: {named}. Each run trains a "
            "challenger and reports why it did or did not replace the champion; `churn promote "
            "VERSION --reason TEXT` promotes it, `churn evaluate --force` evaluates the champion "
            "on the current customers, `churn rollback` restores an earlier one"
        )

    def to_json(self) -> dict[str, Any]:
        """Return all alerts, and the worst metric of each kind, as JSON types."""
        worst: dict[tuple[str, str], MonitoredMetric] = {}
        for metric in self.figures:
            key = (metric.watched.partition(":")[0], metric.against)
            if key not in worst or metric.figure > worst[key].figure:
                worst[key] = metric
        return {
            "extract_date": self.extract_date.isoformat(),
            "champion": self.champion,
            "alerts": [asdict(metric) for metric in self.alerts],
            "worst": [asdict(metric) for metric in worst.values()],
            "proposal": self.proposal,
        }


def read_rules(path: Path = DECLARED) -> MonitoringRules:
    """Return the declared rules."""
    declared = yaml.safe_load(path.read_text())
    return MonitoringRules(**declared.pop("realised"), **declared)


def monitor(
    settings: Settings,
    spark: SparkSession,
    rules: MonitoringRules,
    history: Sequence[Publication] | None = None,
) -> MonitoringResult | None:
    """Return the monitoring result of the latest published extract, or None if there is none.

    `history` contains the extracts of an earlier time, for monitoring as of that time.
    """
    history = read_publications(spark) if history is None else history
    if not history:
        return None
    latest, version = history[-1], registry.champion_version(settings)
    record = registry.read_record(settings, version) if version else None
    figures = []
    learned = record.extract_date if record else None
    against = {"the previous extract": history[-2:-1]} | {
        "the champion's training extract": [
            extract for extract in history[:-1] if extract.extract_date == learned
        ]
    }
    extracts = {extract for group in against.values() for extract in group}
    of_load = read_profiles(spark, [extract.batch_id for extract in (latest, *extracts)])
    for words, group in against.items():
        for earlier in group:
            figures += _feature_drift(of_load, latest, earlier, words, rules)
    if version:
        figures += _score_drift(spark, history, version, rules)
    pairs, left_out = _observable(spark, history)
    figures += _measure_realised_churn(
        settings, spark, [pair for pair in pairs if pair.second == latest], rules
    )
    figures += _find_exclusions(history, left_out)
    figures += _find_pending_promotion(settings)
    return MonitoringResult(latest.extract_date, version, tuple(figures))


def stability_index(now: dict[Any, int], before: dict[Any, int]) -> float:
    """Return the population stability index of two counts by band."""
    total_now, total_before = sum(now.values()), sum(before.values())
    index = 0.0
    for band in sorted({*now, *before}, key=str):
        share = max(now.get(band, 0), EMPTY_BAND_COUNT) / total_now
        share_before = max(before.get(band, 0), EMPTY_BAND_COUNT) / total_before
        index += (share - share_before) * math.log(share / share_before)
    return index


Profile = dict[str, dict[str, int]]


def _feature_drift(
    of_load: Mapping[str, Profile],
    latest: Publication,
    earlier: Publication,
    words: str,
    rules: MonitoringRules,
) -> list[MonitoredMetric]:
    now, before = of_load.get(latest.batch_id, {}), of_load.get(earlier.batch_id, {})
    metrics = []
    for feature in sorted(now.keys() & before.keys()):
        index = stability_index(now[feature], before[feature])
        text = f"{feature.replace('_', ' ')} shifted by {index:.2f} from {words}"
        text += f" ({earlier.extract_date})"
        alert = index >= rules.feature_drift
        metrics.append(
            MonitoredMetric(f"feature: {feature}", words, index, rules.feature_drift, alert, text)
        )
    return metrics


def read_profiles(spark: SparkSession, batches: Sequence[str]) -> dict[str, Profile]:
    """Return the number of customers by load, feature and bin, of the given loads."""
    by_load: dict[str, Profile] = {}
    sql = PROFILES.replace("{batches}", ", ".join(map(literal, batches)))
    for row in query_if_exists(spark, "audit.extract_profiles", sql):
        of_load = by_load.setdefault(row["batch_id"], {})
        of_load.setdefault(row["feature"], {})[row["bin"]] = row["customers"]
    return by_load


def _score_drift(
    spark: SparkSession, history: Sequence[Publication], version: str, rules: MonitoringRules
) -> list[MonitoredMetric]:
    """Compare the latest extract with the first one that the champion scored."""
    bands: dict[str, dict[int, int]] = {}
    sql = SCORE_BANDS.replace("{batches}", _batches(history))
    for row in query_if_exists(spark, "gold.churn_scores", sql, version=version):
        bands.setdefault(row["batch_id"], {})[row["band"]] = row["customers"]
    scored = [extract for extract in history if extract.batch_id in bands]
    if len(scored) < 2 or scored[-1] != history[-1]:
        return []
    index = stability_index(bands[scored[-1].batch_id], bands[scored[0].batch_id])
    words = f"the scores shifted by {index:.2f} since {scored[0].extract_date}"
    alert = index >= rules.score_drift
    return [
        MonitoredMetric(
            "scores", "the champion's first scores", index, rules.score_drift, alert, words
        )
    ]


def _batches(extracts: Sequence[Publication]) -> str:
    return ", ".join(literal(extract.batch_id) for extract in extracts)


def _observable(
    spark: SparkSession, history: Sequence[Publication]
) -> tuple[list[Pair], list[Exclusion]]:
    """Return the pairs that churn can be observed in, and what is excluded from training.

    The pairs are those of the last two extracts, and of the most recently published one with its
    neighbours.
    """
    usable, left_out = select_eligible(history, [], read_incomparable_dates(spark))
    newest = max(history, key=lambda extract: extract.location)
    looked_at = [
        (first, second)
        for first, second in pairwise(usable)
        if newest in (first, second) or second == history[-1]
    ]
    pairs = read_pairs(spark.table("gold.churn_labels"), looked_at)
    fit, implausible = select_plausible(pairs, read_pair_rules())
    return fit, [*left_out, *implausible]


def _find_exclusions(
    history: Sequence[Publication], left_out: Sequence[Exclusion]
) -> Iterator[MonitoredMetric]:
    """Yield an alert for what the most recent load added that is excluded from training.

    For earlier loads, a model's record contains this; an alert is not repeated permanently.
    """
    newest = max(history, key=lambda extract: extract.location).extract_date.isoformat()
    for item in left_out:
        if newest in item.extracts:
            words = f"excluded from training: {item.format()}"
            yield MonitoredMetric("training", "the latest load", 1.0, None, True, words)


def _find_pending_promotion(settings: Settings) -> Iterator[MonitoredMetric]:
    waiting = decisions.find_waiting(settings)
    if waiting is not None:
        words = f"{waiting.version} awaits manual promotion: {waiting.reason}"
        yield MonitoredMetric("promotion", "the champion", 1.0, None, True, words)


def _measure_realised_churn(
    settings: Settings, spark: SparkSession, pairs: Sequence[Pair], rules: MonitoringRules
) -> list[MonitoredMetric]:
    """Compare the scores of the previous extract with the churn in the latest one.

    A customer churned if the latest extract marks the customer or does not contain the customer.
    """
    if not pairs or not spark.catalog.tableExists("gold.churn_scores"):
        return []
    before = pairs[-1].first
    labels = select_observed_rows(spark.table("gold.churn_labels"), pairs)
    sql = bind(REALISED_CHURN, day=before.extract_date, batch=before.batch_id)
    metrics = []
    rows = spark.sql(sql, labels=labels).toArrow().to_pylist()
    for row in sorted(rows, key=lambda result: str(result["model_version"])):
        record = registry.read_record(settings, row["model_version"])
        # A model of the workbook's own marks predicts which customers resemble churned ones, not
        # which customers churn next.
        if record is None or record.label["kind"] != OBSERVED:
            continue
        missed = abs(row["realised"] - row["foreseen"])
        off, deviations = missed / max(row["foreseen"], 1.0), missed / math.sqrt(row["variance"])
        words = (
            f"of {format_number(row['customers'], 'customer')} on "
            f"{before.extract_date}, {row['foreseen']:.0f} "
            f"were predicted to churn by {row['model_version']} and {row['realised']} did"
        )
        alert = off >= rules.gap and deviations >= rules.deviations
        metrics.append(
            MonitoredMetric("realised churn", "the predicted churn", off, rules.gap, alert, words)
        )
    return metrics
