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
    LeftOut,
    Pair,
    observed_rows,
    of_other_customers,
    plausible,
    read_pair_rules,
    read_pairs,
    taking_part,
)
from feature_repo.publications import Publication, publications
from lakehouse.settings import Settings
from lakehouse.sql import bind, literal, query_if_exists
from trainer import decisions, registry

DECLARED = Path(__file__).with_name("monitoring.yml")
# A band that is empty on one side would make the index infinite: half a customer represents none.
LEAST = 0.5

PROFILES = """
select batch_id, feature, bin, sum(customers) as customers
from audit.extract_profiles where batch_id in ({batches}) group by batch_id, feature, bin
"""
BANDS = """
select _batch_id as batch_id, cast(least(floor(probability * 10), 9) as int) as band,
    count(*) as customers
from gold.churn_scores
where model_version = :version and _batch_id in ({batches})
group by batch_id, band
"""
# The scores at the time when the next extract was published: those of the version that scored last.
FORESEEN = """
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
class Rules:
    """The declared bounds; the comments of `monitoring.yml` explain each."""

    feature_drift: float
    score_drift: float
    gap: float
    deviations: float


@dataclass(frozen=True)
class Figure:
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
    figures: tuple[Figure, ...]

    @property
    def alerts(self) -> tuple[Figure, ...]:
        """Return the metrics that raise an alert."""
        return tuple(each for each in self.figures if each.alert)

    @property
    def proposal(self) -> str | None:
        """Return the proposed action in one sentence, or None if there is no alert."""
        if not self.alerts:
            return None
        named = "; ".join(each.words for each in self.alerts)
        return (
            f"{self.champion or 'the model'} needs a look: {named}. Each run trains a challenger "
            "and says why it did or did not take over; `churn promote VERSION --reason TEXT` makes "
            "it champion, `churn evaluate --again` judges the champion on today's customers, "
            "`churn rollback` goes back to an earlier one"
        )

    def shown(self) -> dict[str, Any]:
        """Return all alerts, and the worst metric of each kind, as JSON types."""
        worst: dict[tuple[str, str], Figure] = {}
        for each in self.figures:
            key = (each.watched.partition(":")[0], each.against)
            if key not in worst or each.figure > worst[key].figure:
                worst[key] = each
        return {
            "extract_date": self.extract_date.isoformat(),
            "champion": self.champion,
            "alerts": [asdict(each) for each in self.alerts],
            "worst": [asdict(each) for each in worst.values()],
            "proposal": self.proposal,
        }


def read_rules(path: Path = DECLARED) -> Rules:
    """Return the declared rules."""
    declared = yaml.safe_load(path.read_text())
    return Rules(**declared.pop("realised"), **declared)


def monitor(
    settings: Settings,
    spark: SparkSession,
    rules: Rules,
    history: Sequence[Publication] | None = None,
) -> MonitoringResult | None:
    """Return the monitoring result of the latest published extract, or None if there is none.

    `history` contains the extracts of an earlier time, for monitoring as of then.
    """
    history = publications(spark) if history is None else history
    if not history:
        return None
    latest, version = history[-1], registry.champion_version(settings)
    record = registry.stored(settings, version) if version else None
    figures = []
    learned = record.extract_date if record else None
    against = {"the extract before": history[-2:-1]} | {
        "what the champion learned from": [
            each for each in history[:-1] if each.extract_date == learned
        ]
    }
    extracts = {each for found in against.values() for each in found}
    of_load = profiles(spark, [each.batch_id for each in (latest, *extracts)])
    for words, found in against.items():
        for earlier in found:
            figures += _feature_drift(of_load, latest, earlier, words, rules)
    if version:
        figures += _score_drift(spark, history, version, rules)
    pairs, left_out = _observable(spark, history)
    figures += _realised(settings, spark, [each for each in pairs if each.second == latest], rules)
    figures += _not_learned_from(history, left_out)
    figures += _waiting(settings)
    return MonitoringResult(latest.extract_date, version, tuple(figures))


def stability_index(now: dict[Any, int], before: dict[Any, int]) -> float:
    """Return the population stability index of two counts by band."""
    total_now, total_before = sum(now.values()), sum(before.values())
    index = 0.0
    for band in sorted({*now, *before}, key=str):
        share = max(now.get(band, 0), LEAST) / total_now
        share_before = max(before.get(band, 0), LEAST) / total_before
        index += (share - share_before) * math.log(share / share_before)
    return index


Profile = dict[str, dict[str, int]]


def _feature_drift(
    of_load: Mapping[str, Profile],
    latest: Publication,
    earlier: Publication,
    words: str,
    rules: Rules,
) -> list[Figure]:
    now, before = of_load.get(latest.batch_id, {}), of_load.get(earlier.batch_id, {})
    found = []
    for feature in sorted(now.keys() & before.keys()):
        index = stability_index(now[feature], before[feature])
        said = f"{feature.replace('_', ' ')} moved by {index:.2f} against {words}"
        said += f" ({earlier.extract_date})"
        alert = index >= rules.feature_drift
        found.append(Figure(f"feature: {feature}", words, index, rules.feature_drift, alert, said))
    return found


def profiles(spark: SparkSession, batches: Sequence[str]) -> dict[str, Profile]:
    """Return the number of customers by load, feature and bin, of the given loads."""
    found: dict[str, Profile] = {}
    sql = PROFILES.replace("{batches}", ", ".join(map(literal, batches)))
    for row in query_if_exists(spark, "audit.extract_profiles", sql):
        of_load = found.setdefault(row["batch_id"], {})
        of_load.setdefault(row["feature"], {})[row["bin"]] = row["customers"]
    return found


def _score_drift(
    spark: SparkSession, history: Sequence[Publication], version: str, rules: Rules
) -> list[Figure]:
    """Compare the latest extract with the first one that the champion scored."""
    bands: dict[str, dict[int, int]] = {}
    sql = BANDS.replace("{batches}", _batches(history))
    for row in query_if_exists(spark, "gold.churn_scores", sql, version=version):
        bands.setdefault(row["batch_id"], {})[row["band"]] = row["customers"]
    scored = [each for each in history if each.batch_id in bands]
    if len(scored) < 2 or scored[-1] != history[-1]:
        return []
    index = stability_index(bands[scored[-1].batch_id], bands[scored[0].batch_id])
    words = f"the scores moved by {index:.2f} since {scored[0].extract_date}"
    alert = index >= rules.score_drift
    return [Figure("scores", "the first ones", index, rules.score_drift, alert, words)]


def _batches(extracts: Sequence[Publication]) -> str:
    return ", ".join(literal(each.batch_id) for each in extracts)


def _observable(
    spark: SparkSession, history: Sequence[Publication]
) -> tuple[list[Pair], list[LeftOut]]:
    """Return the pairs that churn can be observed in, and what is excluded from training.

    The pairs are those of the last two extracts, and of the most recently published one with its
    neighbours.
    """
    usable, left_out = taking_part(history, [], of_other_customers(spark))
    newest = max(history, key=lambda each: each.place)
    looked_at = [
        (first, second)
        for first, second in pairwise(usable)
        if newest in (first, second) or second == history[-1]
    ]
    pairs = read_pairs(spark.table("gold.churn_labels"), looked_at)
    fit, implausible = plausible(pairs, read_pair_rules())
    return fit, [*left_out, *implausible]


def _not_learned_from(
    history: Sequence[Publication], left_out: Sequence[LeftOut]
) -> Iterator[Figure]:
    """Yield an alert for what the most recent load added that is excluded from training.

    For earlier loads, a model's record contains this; an alert is not repeated permanently.
    """
    newest = max(history, key=lambda each: each.place).extract_date.isoformat()
    for each in left_out:
        if newest in each.extracts:
            words = f"not learned from: {each.in_words()}"
            yield Figure("training", "whose extract it is", 1.0, None, True, words)


def _waiting(settings: Settings) -> Iterator[Figure]:
    waiting = decisions.waiting(settings)
    if waiting is not None:
        words = f"{waiting.version} waits for a person to promote it: {waiting.reason}"
        yield Figure("promotion", "the champion", 1.0, None, True, words)


def _realised(
    settings: Settings, spark: SparkSession, pairs: Sequence[Pair], rules: Rules
) -> list[Figure]:
    """Compare the scores of the extract before with the churn in the latest one.

    A customer churned if the latest extract marks the customer or does not contain the customer.
    """
    if not pairs or not spark.catalog.tableExists("gold.churn_scores"):
        return []
    before = pairs[-1].first
    labels = observed_rows(spark.table("gold.churn_labels"), pairs)
    sql = bind(FORESEEN, day=before.extract_date, batch=before.batch_id)
    found = []
    rows = spark.sql(sql, labels=labels).toArrow().to_pylist()
    for row in sorted(rows, key=lambda each: str(each["model_version"])):
        record = registry.stored(settings, row["model_version"])
        # A model of the workbook's own marks predicts which customers resemble churned ones, not
        # which customers churn next.
        if record is None or record.label["kind"] != OBSERVED:
            continue
        missed = abs(row["realised"] - row["foreseen"])
        off, deviations = missed / max(row["foreseen"], 1.0), missed / math.sqrt(row["variance"])
        words = (
            f"of {row['customers']:,} customers on {before.extract_date}, {row['foreseen']:.0f} "
            f"were foreseen to leave by {row['model_version']} and {row['realised']} did"
        )
        alert = off >= rules.gap and deviations >= rules.deviations
        found.append(Figure("realised churn", "what was foreseen", off, rules.gap, alert, words))
    return found
