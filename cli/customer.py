"""One customer: what the online store holds, the score, and where the numbers come from."""

import json
from typing import Any

from lakehouse import spark_server
from lakehouse.errors import Unusable
from lakehouse.service import Say
from lakehouse.settings import Settings
from lakehouse.sql import Rows, query_table
from trainer.registry import champion_version

SCORE = """
    select probability, decile, model_version, extract_date, reasons
    from gold.churn_scores
    where customer_id = :customer_id
    order by extract_date desc, model_version = :champion desc, scored_at desc
    limit 1
"""
SOURCE_ROWS = """
    select _source_file as file, _sheet as sheet, _row_number as row_number,
        _extract_date as extract_date, _batch_id as batch_id, _loaded_at as loaded_at
    from bronze.telco_customers
    where btrim(customerID) = :customer_id
    order by _loaded_at, _row_number
"""
SILVER_ROWS = """
    select _batch_id as batch_id, _row_number as row_number, extract_date
    from silver.customers where customer_id = :customer_id order by extract_date
"""
REJECTS = """
    select _batch_id as batch_id, _row_number as row_number, extract_date, reasons
    from silver.rejected_rows where btrim(customerID) = :customer_id order by extract_date
"""
GOLD_ROWS = """
    select features.extract_date, publications.batch_id, publications.run_id,
        publications.published_at
    from gold.customer_features as features
    inner join gold.publications as publications
        on features.extract_date = publications.extract_date
        and features.created_timestamp = publications.created_timestamp
    where features.customer_id = :customer_id
    order by features.extract_date
"""
HOPS = {
    "rejected": ("silver.rejected_rows", REJECTS),
    "silver": ("silver.customers", SILVER_ROWS),
    "gold": ("gold.customer_features", GOLD_ROWS),
    "scores": ("gold.churn_scores", SCORE),
}


def _whose(settings: Settings, customer_id: str) -> dict[str, str]:
    """The values in the statements; the champion's score is the one that counts."""
    return {"customer_id": customer_id, "champion": champion_version(settings) or ""}


def shown(settings: Settings, customer_id: str, say: Say) -> dict[str, Any]:
    """What the online store holds for a customer, and the latest score.

    Raises:
        Unusable: the online store doesn't know the customer.
    """
    online = _online(settings, customer_id, say)
    if online is None:
        raise Unusable(
            f"The online store holds no customer {customer_id!r}",
            where="feature view customer_features",
            remedy="check the id; `churn trace ID` says whether its row was rejected",
        )
    spark_server.ensure(settings, say)
    with spark_server.session(settings) as spark:
        scores = query_table(spark, "gold.churn_scores", SCORE, **_whose(settings, customer_id))
    return {"customer_id": customer_id, **online, "score": _score(scores)}


def _online(settings: Settings, customer_id: str, say: Say) -> dict[str, Any] | None:
    from feature_repo.declared import read_features
    from feature_repo.feature_services import churn
    from feature_repo.store import store

    feature_store = store(settings, say)
    answer = feature_store.get_online_features(
        features=feature_store.get_feature_service(churn.name),
        entity_rows=[{"customer_id": customer_id}],
    )
    online = answer.to_dict()
    values = {feature.name: online[feature.name][0] for feature in read_features()}
    if all(value is None for value in values.values()):
        return None
    stamps = answer.proto.results[-1].event_timestamps
    return {
        "event_timestamp": stamps[0].ToDatetime().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "features": values,
    }


def _score(scores: Rows) -> dict[str, Any] | None:
    if not scores:
        return None
    score = scores[0]
    return {
        "probability": score["probability"],
        "decile": score["decile"],
        "model_version": score["model_version"],
        "reasons": [reason["text"] for reason in score["reasons"]],
    }


def shown_lines(customer: dict[str, Any]) -> list[str]:
    """The customer for people: score and reasons first, then every feature."""
    lines = [f"{customer['customer_id']} as of {customer['event_timestamp'][:10]}"]
    score = customer["score"]
    if score is None:
        lines.append("  no score yet: `churn score`")
    else:
        lines.append(
            f"  leaves with probability {score['probability']:.1%} "
            f"(decile {score['decile']} of 10, model {score['model_version']})"
        )
        lines += [f"    because: {text}" for text in score["reasons"]]
    for name, value in customer["features"].items():
        shown_value = f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
        lines.append(f"  {name:<42}{shown_value}")
    return lines


def traced(settings: Settings, customer_id: str, say: Say) -> dict[str, Any]:
    """Every place that holds something of the customer, workbook row to score.

    Raises:
        Unusable: no workbook that was loaded names the customer.
    """
    spark_server.ensure(settings, say)
    with spark_server.session(settings) as spark:
        source = query_table(spark, "bronze.telco_customers", SOURCE_ROWS, customer_id=customer_id)
        if not source:
            raise Unusable(
                f"No workbook that was loaded names a customer {customer_id!r}",
                where="bronze.telco_customers",
                remedy="check the id: 7590-VHVEG is how one looks",
            )
        lineage: dict[str, Any] = {"customer_id": customer_id, "bronze": source}
        for hop, (table, sql) in HOPS.items():
            lineage[hop] = query_table(spark, table, sql, **_whose(settings, customer_id))
    lineage["online"] = _online(settings, customer_id, say)
    plain: dict[str, Any] = json.loads(json.dumps(lineage, default=str))
    return plain


def trace_lines(lineage: dict[str, Any]) -> list[str]:
    """The lineage for people, a line a hop."""
    lines = [lineage["customer_id"]]
    for row in lineage["bronze"]:
        lines.append(
            f"  workbook  {row['file']}, sheet {row['sheet']}, row {row['row_number']} "
            f"→ bronze load {row['batch_id']}, extract of {row['extract_date']}"
        )
    for row in lineage["rejected"]:
        codes = ", ".join(f"{each['code']} ({each['value']})" for each in row["reasons"])
        lines.append(f"  rejected  row {row['row_number']} of load {row['batch_id']}: {codes}")
    for row in lineage["silver"]:
        lines.append(f"  silver    row {row['row_number']} of load {row['batch_id']}")
    for row in lineage["gold"]:
        lines.append(f"  gold      extract of {row['extract_date']}, run {row['run_id']}")
    online = lineage["online"]
    lines.append(f"  online    {online['event_timestamp'] if online else 'not there'}")
    for row in lineage["scores"]:
        lines.append(f"  score     {row['probability']:.4f} by model {row['model_version']}")
    return lines
