"""Build training sets: labels joined, point-in-time, with the features known at that date."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise

from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.session import SparkSession

from feature_repo.feast_compat import restore_regex_columns, suppress_feast_output
from feature_repo.feature_definitions import read_feature_columns
from feature_repo.feature_services import churn
from feature_repo.feature_store import open_store
from feature_repo.labels import (
    OBSERVED,
    Exclusion,
    Label,
    Pair,
    choose_label,
    count_labels,
    read_incomparable_dates,
    read_pair_rules,
    read_pairs,
    select_eligible,
    select_observed_rows,
    select_plausible,
    select_workbook_rows,
)
from feature_repo.offline import snapshot_files
from feature_repo.publications import Publication, not_published_error, read_publications
from lakehouse.errors import ChurnError
from lakehouse.process import Log
from lakehouse.settings import Settings

FEATURES, LABELS = "gold.customer_features", "gold.churn_labels"


@dataclass(frozen=True)
class TrainingSet:
    """Labelled rows that are read on demand.

    Attributes:
        retrieve: Function that computes the rows: customer_id, event_timestamp, the features and
            `churned`.
        features: Names of the features.
        extract_date: Latest extract date in use.
        signature: Hash that changes with the loads in use, the features and the kind of label.
        label: Meaning of `churned`.
        batches: Batch ids of the loads in use.
        published: Batch ids of all loads in gold.
    """

    retrieve: Callable[[], DataFrame]
    features: list[str]
    extract_date: date
    signature: str
    label: Label
    batches: tuple[str, ...] = ()
    published: tuple[str, ...] = ()

    @property
    def group_columns(self) -> list[str]:
        """Return the columns that keep rows in one fold: rows equal in all of them are never split.

        Over several extracts this is the customer, who is in many rows: a model that was trained on
        a customer's next month would recognise the customer in the evaluation. Within one extract
        it is the features. Both at once would need groups of groups, and equal rows of two
        customers are then few: docs/decisions/0013-observed-churn.md.
        """
        return ["customer_id"] if self.label.kind == OBSERVED else self.features


def training_set(settings: Settings, spark: SparkSession, log: Log) -> TrainingSet:
    """Return the labels that the published extracts allow, with features that Feast retrieves.

    All data is read from the files that gold has at the time of the call.

    Raises:
        lakehouse.errors.InvalidInputError: Nothing has been published yet.
        lakehouse.errors.ChurnError: An extract is only partially published.
    """
    history = read_publications(spark)
    if not history:
        raise not_published_error()
    features = [feature.name for feature in read_feature_columns()]
    state = {table: snapshot_files(spark, table) for table in (FEATURES, LABELS)}
    empty = _require_usable(spark, state, history, features)
    usable, left_out = select_eligible(
        history, _dates_until_last(empty, history), read_incomparable_dates(spark)
    )
    rows, label, pairs = _select_labels(spark.table(state[LABELS]), usable, left_out)
    runs = _group_runs(pairs) if label.kind == OBSERVED else [usable[-1:]]
    log(f"label: {label.reason}")

    def retrieve() -> DataFrame:
        log("retrieving the training set from the feature store")
        return _retrieve_features(settings, spark, rows, state, features)

    return TrainingSet(
        retrieve=retrieve,
        features=features,
        extract_date=runs[-1][-1].extract_date,
        signature=hash_training_set(label.kind, runs, features),
        label=label,
        batches=tuple(publication.batch_id for run in runs for publication in run),
        published=tuple(publication.batch_id for publication in history),
    )


def _group_runs(pairs: Sequence[Pair]) -> list[list[Publication]]:
    """Return the extracts of the pairs, in unbroken sequences."""
    runs: list[list[Publication]] = []
    for pair in pairs:
        if runs and runs[-1][-1] == pair.first:
            runs[-1].append(pair.second)
        else:
            runs.append([pair.first, pair.second])
    return runs


def hash_training_set(kind: str, runs: Sequence[Sequence[Publication]], features: list[str]) -> str:
    """Return the hash that identifies a training set: loads, features and kind of label.

    `runs` are the extracts in sequences without a gap: no churn is observed across a gap.
    """
    loads = [[publication.batch_id for publication in run] for run in runs]
    identity = (
        # A single sequence keeps the identity from before pairs could be excluded, and the
        # workbook's label the identity from before labels were observed: models of that time need
        # not be trained again.
        [OBSERVED, loads[0] if len(loads) == 1 else loads, features]
        if kind == OBSERVED
        else [loads[-1][-1], features]
    )
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def _require_usable(
    spark: SparkSession,
    state: Mapping[str, str],
    history: Sequence[Publication],
    features: Sequence[str],
) -> set[datetime]:
    """Verify that gold has all features and labels of each published extract.

    Returns:
        The event timestamps of extracts in which a feature has no value at all.

    Raises:
        ChurnError: Features or labels of a publication are missing or belong to another load.
    """
    columns = {FEATURES: features, LABELS: ["churned"]}
    empty: set[datetime] = set()
    for table, view in state.items():
        filled = ", ".join(f"count(`{name}`)" for name in columns[table])
        counts = spark.sql(
            "select event_timestamp, created_timestamp, count(*) as customers, "
            f"array_min(array({filled})) as filled from {view} "
            "group by event_timestamp, created_timestamp"
        ).toArrow()
        rows = counts.to_pylist()
        existing = {
            (row["event_timestamp"], row["created_timestamp"], row["customers"]) for row in rows
        }
        for publication in history:
            if (
                publication.event_timestamp,
                publication.created_at,
                publication.customers,
            ) not in existing:
                raise ChurnError(
                    f"The extract of {publication.extract_date} is only partly published",
                    where=f"{table} against gold.publications",
                    hint="`churn build` publishes the rest, then train again",
                )
        empty |= {row["event_timestamp"] for row in rows if row["filled"] == 0}
    return empty


def _dates_until_last(
    empty: Collection[datetime], history: Sequence[Publication]
) -> Sequence[Publication]:
    """Return the extracts up to the last one from before a feature was declared.

    The latest extract is never among them: it is used in any case, and the training step reports
    what it lacks.
    """
    positions = [
        position
        for position, publication in enumerate(history, 1)
        if publication.event_timestamp in empty
    ]
    return history[: min(max(positions, default=0), len(history) - 1)]


def _select_labels(
    labels: DataFrame, history: Sequence[Publication], left_out: Sequence[Exclusion]
) -> tuple[DataFrame, Label, list[Pair]]:
    """Return the rows to train on, the label that there is enough data for, and plausible pairs.

    The rows of both kinds are checkpointed on the server, because Feast queries them several times.
    """
    workbook = select_workbook_rows(labels, history[-1]).localCheckpoint()
    pairs, implausible = select_plausible(
        read_pairs(labels, list(pairwise(history))), read_pair_rules()
    )
    label = choose_label(pairs, count_labels(workbook), len(history), [*left_out, *implausible])
    if label.kind == OBSERVED:
        return select_observed_rows(labels, pairs).localCheckpoint(), label, pairs
    return workbook, label, pairs


def _retrieve_features(
    settings: Settings,
    spark: SparkSession,
    rows: DataFrame,
    state: Mapping[str, str],
    features: list[str],
) -> DataFrame:
    feature_store = open_store(settings)
    feature_store.config.offline_store.states = dict(state)
    with suppress_feast_output(), restore_regex_columns(spark):
        retrieved = feature_store.get_historical_features(
            entity_df=rows,
            features=feature_store.get_feature_service(churn.name),
        ).to_spark_df()
        # Feast's column order varies from run to run
        named = retrieved.select("customer_id", "event_timestamp", *features, "churned")
        return named.localCheckpoint()
