"""Watches the champion: do the customers still look as those that it learned from, and did those
leave of whom it said so? Also what waits for a person: an extract that is not learned from, a new
version that may not take over by itself.

All but the latter is computed from what is kept for ever: `audit.extract_profiles`,
`audit.gate_results`, `gold.churn_scores`, `gold.churn_labels`. So the same extract gives the same
alerts, whenever it is asked for.
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
# A band that is empty on one side would make the index infinite: half a customer stands for none.
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
# The scores that stood when the next extract was published: of the version that scored last.
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
    """The declared bounds; the file's comments say what each is."""

    feature_drift: float
    score_drift: float
    gap: float
    deviations: float


@dataclass(frozen=True)
class Figure:
    """Something watched, against what, how far it is off, the bound, whether it alerts.

    Without a bound it is a matter of yes or no.
    """

    watched: str
    against: str
    figure: float
    bound: float | None
    alert: bool
    words: str


@dataclass(frozen=True)
class MonitoringResult:
    """What the latest extract says of the champion; `proposal` is None where all is well."""

    extract_date: date
    champion: str | None
    figures: tuple[Figure, ...]

    @property
    def alerts(self) -> tuple[Figure, ...]:
        return tuple(each for each in self.figures if each.alert)

    @property
    def proposal(self) -> str | None:
        """What to do, in a sentence."""
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
        """As JSON types: all alerts, and of each kind of figure the worst."""
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
    """The declared rules."""
    declared = yaml.safe_load(path.read_text())
    return Rules(**declared.pop("realised"), **declared)


def monitor(
    settings: Settings,
    spark: SparkSession,
    rules: Rules,
    history: Sequence[Publication] | None = None,
) -> MonitoringResult | None:
    """What the latest published extract says of the champion; None where there is none.

    `history`: the extracts that there were at an earlier time, where that is asked for.
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
    """The population stability index of two counts by band."""
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
    """Load to feature to bin to customers, of the loads of that name."""
    found: dict[str, Profile] = {}
    sql = PROFILES.replace("{batches}", ", ".join(map(literal, batches)))
    for row in query_if_exists(spark, "audit.extract_profiles", sql):
        of_load = found.setdefault(row["batch_id"], {})
        of_load.setdefault(row["feature"], {})[row["bin"]] = row["customers"]
    return found


def _score_drift(
    spark: SparkSession, history: Sequence[Publication], version: str, rules: Rules
) -> list[Figure]:
    """Of the latest extract against the first one that the champion scored."""
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
    """Of the last two extracts, and of the one published last with its neighbours: the pairs
    that churn can be observed in, and what is not learned from."""
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
    """What the load that came last has brought that is not learned from; of earlier ones a model's
    record tells, and who has seen the alert is not told for ever."""
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
    """The scores of the extract before, held against who is gone or marked in the latest one."""
    if not pairs or not spark.catalog.tableExists("gold.churn_scores"):
        return []
    before = pairs[-1].first
    labels = observed_rows(spark.table("gold.churn_labels"), pairs)
    sql = bind(FORESEEN, day=before.extract_date, batch=before.batch_id)
    found = []
    rows = spark.sql(sql, labels=labels).toArrow().to_pylist()
    for row in sorted(rows, key=lambda each: str(each["model_version"])):
        record = registry.stored(settings, row["model_version"])
        # A model of the workbook's own marks says who looks like a leaver, not who leaves next.
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
