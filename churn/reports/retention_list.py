"""Write the retention team's list: customers most worth approaching, with reasons and offers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.session import SparkSession

from churn.reports.retention_workbook import (
    ListedCustomer,
    RetentionList,
    TriedOffer,
    write_retention_workbook,
)
from churn.reports.xlsx_output import require_writable, translate_write_errors
from feature_repo.publications import Publication, find_latest_publication
from lakehouse import spark_server, spark_session
from lakehouse.atomic_write import atomic_write
from lakehouse.domain import Offer, read_domain
from lakehouse.errors import InvalidInputError
from lakehouse.process import Log
from lakehouse.settings import Settings
from lakehouse.sql import bind
from lakehouse.storage import escape_glob
from seeds_loader.contract import format_value, read_contract
from trainer import registry
from trainer.explain import log_odds_column
from trainer.record import ModelRecord
from trainer.retention_campaign import Campaign, read_campaign

# Use the out-of-fold probability if the model was trained on the row, which it would recognise. A
# row of a later extract was not used for training, so that its score is equally good.
AT_RISK = """
with

scored as (

    select customer_id, probability, reasons from gold.churn_scores

    where extract_date = :day and model_version = :version

),

unseen as (

    select customer_id, probability from {out_of_fold}

    where event_timestamp = (
        select max(event_timestamp) from gold.customer_features where extract_date = :day
    )

),

staying as (

    select customer_id{details} from silver.customers

    where extract_date = :day and churned = 0

),

valued as (

    select
        features.*,
        coalesce(unseen.probability, scored.probability) as probability,
        scored.reasons,
        staying.* except (customer_id),
        {revenue} as revenue

    from gold.customer_features as features

    inner join scored using (customer_id)

    inner join staying using (customer_id)

    left join unseen using (customer_id)

    where features.extract_date = :day

),

final as (

    select *, probability * revenue - {contact} as expected_value from valued

)

select * from final order by expected_value desc, customer_id limit :most
"""


def write_retention_list(settings: Settings, limit: int, path: Path, log: Log) -> str:
    """Write the customers who are most worth approaching to a workbook.

    Args:
        settings: The settings of this CHURN_HOME.
        limit: Maximum number of customers.
        path: The .xlsx file to write.
        log: Callback for progress messages.

    Returns:
        A message about the result.

    Raises:
        InvalidInputError: Nothing was published or scored yet, or the file can't be written.
    """
    require_writable(path)
    campaign = read_campaign()
    spark_server.ensure_running(settings, log)
    with spark_session.session(settings) as spark:
        record, publication = _read_scored_extract(settings, spark)
        log(f"extract of {publication.extract_date}, scored by {record.version}")
        listed = _select_customers(settings, spark, record, publication, campaign, limit)
    risk_list = RetentionList(
        extract_date=publication.extract_date,
        customers=publication.customers,
        model=record.version,
        kind=record.kind,
        campaign=campaign,
        columns=read_domain().report.list_columns,
        listed=listed,
    )
    with translate_write_errors(path), atomic_write(path) as draft:
        write_retention_workbook(risk_list, draft)
    worth = sum(customer.expected_value for customer in listed)
    value = f", expected value {worth:,.0f}" if campaign.revenue else ""
    return f"{path}: {len(listed):,} customers{value}"


def _read_scored_extract(
    settings: Settings, spark: SparkSession
) -> tuple[ModelRecord, Publication]:
    record, publication = registry.champion(settings), find_latest_publication(spark)
    scored = 0
    if record and publication and spark.catalog.tableExists("gold.churn_scores"):
        condition = "extract_date = :day and model_version = :version"
        condition = bind(condition, day=publication.extract_date, version=record.version)
        scored = spark.table("gold.churn_scores").where(condition).count()
    if record is None or publication is None or scored == 0:
        raise InvalidInputError(
            "There are no scores of the published extract by the champion yet",
            where="gold.churn_scores",
            hint="`churn run WORKBOOK`; `churn score` where only the scores are missing",
        )
    return record, publication


def _select_customers(  # long: names all that a customer is listed with
    settings: Settings,
    spark: SparkSession,
    record: ModelRecord,
    publication: Publication,
    campaign: Campaign,
    limit: int,
) -> list[ListedCustomer]:
    out_of_fold = f"{registry.pipeline(settings, record.version)}/{registry.OUT_OF_FOLD}"
    if not registry.has_out_of_fold(settings, record.version):
        raise InvalidInputError(
            f"The model {record.version} is from before out-of-fold probabilities were kept",
            where=str(registry.folder(settings) / record.version),
            hint="`churn train` makes one that has them",
        )
    shown, contract = read_domain().report.list_columns, read_contract()
    sql = _compose_query(campaign, [column.column for column in shown])
    sql = bind(sql, day=publication.extract_date, version=record.version, most=limit)
    rows = spark.sql(sql, out_of_fold=spark.read.parquet(escape_glob(out_of_fold)))
    customers = rows.localCheckpoint()
    tried = {
        name: _evaluate_offer(customers, record, name, offer, campaign)
        for name, offer in campaign.offers.items()
    }
    return [
        ListedCustomer(
            **{name: row[name] for name in ("customer_id", "probability")},
            **{name: row[name] for name in ("revenue", "expected_value")},
            details=[
                format_value(row[f"_{column.column}"], contract.find(column.column))
                for column in shown
            ],
            reasons=[reason["text"] for reason in row["reasons"]],
            offers=[
                TriedOffer(name, **effects[row["customer_id"]])
                for name, effects in tried.items()
                if row["customer_id"] in effects
            ],
        )
        for row in customers.toArrow().to_pylist()
    ]


def _compose_query(campaign: Campaign, details: Sequence[str]) -> str:
    """Return the query of the customers; without a value, all customers are worth the same."""
    return (
        AT_RISK.replace("{revenue}", campaign.revenue or "1D")
        .replace("{contact}", f"{campaign.contact_cost if campaign.revenue else 0}D")
        .replace("{details}", "".join(f", {name} as _{name}" for name in details))
    )


def _evaluate_offer(  # long: one query
    customers: DataFrame, record: ModelRecord, name: str, offer: Offer, campaign: Campaign
) -> dict[str, dict[str, Any]]:
    """Return the probability with the offer and its gain, by eligible customer.

    The offer changes the customer's current log-odds by the effect that the model attributes to it.
    """
    missing = [feature for feature in offer.sets if feature not in record.features]
    if missing:
        raise InvalidInputError(
            f"The offer {name} sets {', '.join(missing)}, which the model does not know",
            where="offers in campaign.yml of the domain",
            hint=f"set features of the model: {', '.join(record.features)}",
        )
    odds = log_odds_column(record.form, record.derived)
    changed = [
        f"cast({offer.sets[feature]} as double) as `{feature}`"
        if feature in offer.sets
        else f"`{feature}`"
        for feature in record.features
    ]
    columns = ["customer_id", "probability", "revenue", f"{odds} as odds_now"]
    costs = f"cast({offer.costs} as double) + {campaign.contact_cost}D as costs"
    with_offer = (
        customers.where(offer.condition)
        .selectExpr(*columns, costs, *changed)
        .selectExpr(
            "customer_id",
            "probability as before",
            "revenue",
            "costs",
            f"ln(probability / (1 - probability)) + {odds} - odds_now as odds",
        )
        .selectExpr("*", "1 / (1 + exp(-odds)) as probability")
        .selectExpr("*", "(before - probability) * revenue - costs as gain")
    )
    rows = with_offer.toArrow().to_pylist()
    return {
        row["customer_id"]: {figure: row[figure] for figure in ("probability", "costs", "gain")}
        for row in rows
    }
