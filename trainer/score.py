"""Score every customer of the latest published extract, with reasons."""

from dataclasses import dataclass
from datetime import date

from pyspark.ml import PipelineModel
from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as f
from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.session import SparkSession

from feature_repo.publications import Publication, latest_publication_or_error
from lakehouse.amounts import format_number
from lakehouse.errors import InvalidInputError
from lakehouse.process import Log
from lakehouse.settings import Settings
from lakehouse.sql import bind, literal
from lakehouse.storage import escape_glob
from trainer import deciles, registry
from trainer.deciles import Boundary, Deciles
from trainer.explain import log_odds_column, reasons_column
from trainer.pipeline import run_in_threads
from trainer.reason_texts import read_reasons, reasons_for
from trainer.record import ModelRecord

TABLE = "gold.churn_scores"
CREATE = f"""
create table if not exists {TABLE} (
    customer_id string,
    extract_date date,
    model_version string,
    probability double,
    decile int comment '1 to 10; 10 is the highest risk',
    reasons array<struct<feature: string, text: string, contribution: double>>
        comment 'what raises the risk most, at most three; contributions to the log-odds',
    scored_at timestamp,
    _batch_id string
) using delta
comment 'Churn risk of a customer at an extract date, by model version'
"""
# Equal probabilities fall into the same decile on every run.
DECILE = "ntile(10) over (order by {probability}, customer_id)"


@dataclass(frozen=True)
class Scores:
    """Result of scoring an extract.

    Attributes:
        customers: Number of customers who have a score.
        written: Whether this call wrote the scores; False if all of them existed already.
        record: Record of the model.
        extract_date: Date of the extract.
    """

    customers: int
    written: bool
    record: ModelRecord
    extract_date: date


def score(
    settings: Settings, spark: SparkSession, log: Log, publication: Publication | None = None
) -> Scores:
    """Score the latest published extract, or that of the publication, with the champion.

    Replace the rows of that extract date and model version in one commit, and write nothing if they
    are complete; then write the boundaries of the deciles beside the model. Call it under the run
    lock.

    Raises:
        InvalidInputError: Nothing has been published yet, there is no model, or gold lacks one of
            its features.
    """
    publication = publication or latest_publication_or_error(spark)
    record = registry.champion_or_error(settings)
    spark.sql(CREATE)
    if _is_complete(spark, record.version, publication):
        log(f"the scores of {publication.extract_date} by {record.version} are there already")
        _ensure_deciles(settings, spark, record.version, publication, again=False)
        return Scores(publication.customers, False, record, publication.extract_date)
    log(f"scoring {format_number(publication.customers, 'customer')} with {record.version}")
    features = _features(spark, record, publication)
    model = registry.pipeline(settings, record.version)
    run_in_threads(spark, lambda path: _write(path, record, publication, features), [model])
    _ensure_deciles(settings, spark, record.version, publication, again=True)
    return Scores(publication.customers, True, record, publication.extract_date)


def _is_complete(spark: SparkSession, version: str, publication: Publication) -> bool:
    """Return whether every customer has one score, from this batch and no other, written last.

    Scores of another version that were written later would be the current ones, after a rollback.
    """
    of_date = f"extract_date = {literal(publication.extract_date)}"
    of_version = f"filter (where model_version = {literal(version)})"
    of_batch = f"_batch_id = {literal(publication.batch_id)}"
    counted = (
        spark.table(TABLE)
        .where(of_date)
        .selectExpr(
            f"max(scored_at) {of_version} = max(scored_at) as is_last",
            f"count(distinct customer_id) {of_version} as customers",
            f"count(*) {of_version} as rows_there",
            f"count_if({of_batch}) {of_version} as of_batch",
        )
    )
    found = counted.toArrow().to_pylist()[0]
    return bool(found.pop("is_last")) and set(found.values()) == {publication.customers}


def _ensure_deciles(
    settings: Settings, spark: SparkSession, version: str, publication: Publication, again: bool
) -> None:
    """Write the boundaries after the scores: a reader of the boundaries finds their scores."""
    if again or not _has_deciles(settings, version, publication):
        rows = spark.table(TABLE).where(_scope_condition(version, publication))
        _write_deciles(settings, version, publication, rows)


def preview_deciles(settings: Settings, spark: SparkSession, record: ModelRecord) -> None:
    """Write the boundaries that scores of the latest extract by this version would have.

    So the API can answer with a version that is not champion from the moment that a person promotes
    it; the next scoring writes the scores. Call it under the run lock.

    Raises:
        InvalidInputError: Nothing has been published yet, or gold lacks a feature of the model.
    """
    publication = latest_publication_or_error(spark)
    if _has_deciles(settings, record.version, publication):
        return
    odds = log_odds_column(record.form, record.derived)
    rows = _features(spark, record, publication).selectExpr(
        "customer_id", f"1 / (1 + exp(-({odds}))) as probability"
    )
    ranked = rows.selectExpr("*", f"{DECILE.format(probability='probability')} as decile")
    _write_deciles(settings, record.version, publication, ranked)


def _has_deciles(settings: Settings, version: str, publication: Publication) -> bool:
    there = deciles.read(registry.folder(settings) / version)
    return there is not None and there.batch_id == publication.batch_id


def _write_deciles(
    settings: Settings, version: str, publication: Publication, rows: DataFrame
) -> None:
    """Write the last customer of each decile of rows with `customer_id, probability, decile`."""
    ends = rows.groupBy("decile").agg(
        f.max(f.struct("probability", "customer_id")).alias("last"),
        f.count("*").alias("customers"),
    )
    found = sorted(ends.toArrow().to_pylist(), key=lambda row: row["decile"])
    lasts = tuple(Boundary(row["decile"], **row["last"]) for row in found)
    customers = sum(row["customers"] for row in found)
    extract_date = publication.extract_date.isoformat()
    folder = registry.folder(settings) / version
    deciles.write(folder, Deciles(extract_date, publication.batch_id, customers, lasts))


def _scope_condition(version: str, publication: Publication) -> str:
    condition = "extract_date = :extract_date and model_version = :version"
    return bind(condition, extract_date=publication.extract_date, version=version)


def _features(spark: SparkSession, record: ModelRecord, publication: Publication) -> DataFrame:
    gold = spark.table("gold.customer_features")
    missing = [name for name in record.features if name not in gold.columns]
    if missing:
        raise InvalidInputError(
            f"Gold lacks features of model {record.version}: {', '.join(missing)}",
            where="gold.customer_features",
            hint="`churn train` makes a model of the features that there are, and "
            "`churn promote VERSION --reason TEXT` makes that the champion",
        )
    extract = gold.where(f"extract_date = {literal(publication.extract_date)}")
    return extract.select("customer_id", *record.features)


def score_rows(model: PipelineModel, record: ModelRecord, features: DataFrame) -> DataFrame:
    """Return rows of `customer_id, probability, decile, reasons` for rows of id and features."""
    inputs = [*record.features, *record.derived]
    reasons = reasons_column(record.form, reasons_for(inputs, read_reasons()), record.derived)
    predicted = model.transform(features).withColumn("chance", vector_to_array("probability")[1])
    return predicted.selectExpr(
        "customer_id",
        "chance as probability",
        f"{DECILE.format(probability='chance')} as decile",
        f"{reasons} as reasons",
    )


def _write(
    model_path: str, record: ModelRecord, publication: Publication, features: DataFrame
) -> None:
    rows = score_rows(PipelineModel.load(escape_glob(model_path)), record, features).selectExpr(
        "customer_id",
        f"{literal(publication.extract_date)} as extract_date",
        f"{literal(record.version)} as model_version",
        "probability",
        "decile",
        "reasons",
        "current_timestamp() as scored_at",
        f"{literal(publication.batch_id)} as _batch_id",
    )
    rows.writeTo(TABLE).overwrite(f.expr(_scope_condition(record.version, publication)))
