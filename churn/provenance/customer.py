"""Show a single customer: the values in the online store, and the score."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from churn.provenance.run_history import HINT_RUN_FIRST
from lakehouse import spark_server
from lakehouse.errors import InvalidInputError
from lakehouse.process import Say
from lakehouse.settings import Settings
from lakehouse.sql import Rows, query_if_exists
from trainer.registry import champion_version

SCORE = """
    select probability, decile, model_version, extract_date, reasons
    from gold.churn_scores
    where customer_id = :customer_id
    order by extract_date desc, model_version = :champion desc, scored_at desc
    limit 1
"""
# Event timestamp and features of a customer, as stored in the online store.
Online = dict[str, Any]


def show_customer(settings: Settings, customer_id: str, say: Say) -> dict[str, Any]:
    """Return a customer's values in the online store, and the latest score.

    Raises:
        InvalidInputError: The online store does not have the customer, or nothing was ever written
            to it.
    """
    # The loader normalizes ids to NFC; earlier versions did not.
    composed = unicodedata.normalize("NFC", customer_id)
    by_id = online_customers(settings, list(dict.fromkeys([customer_id, composed])), say)
    if by_id is None:
        raise InvalidInputError(
            "Nothing is online yet", where="feature view customer_features", remedy=HINT_RUN_FIRST
        )
    if customer_id not in by_id:
        customer_id = composed
    online = by_id.get(customer_id)
    if online is None:
        raise InvalidInputError(
            f"The online store holds no customer {customer_id!r}",
            where="feature view customer_features",
            remedy="check the id; `churn trace ID` says whether its row was rejected",
        )
    spark_server.ensure_running(settings, say)
    with spark_server.session(settings) as spark:
        # The champion's score takes precedence.
        champion = champion_version(settings) or ""
        scores = query_if_exists(
            spark, "gold.churn_scores", SCORE, customer_id=customer_id, champion=champion
        )
    return {"customer_id": customer_id, **online, "score": _score(scores)}


def online_customers(
    settings: Settings, customer_ids: Sequence[str], say: Say
) -> dict[str, Online] | None:
    """Read customers from the online store through Feast.

    Returns:
        Event timestamp and features by customer id, without customers that the store does not
        have; None if nothing was ever published.
    """
    from feast.errors import FeatureServiceNotFoundException

    from feature_repo.feature_definitions import read_feature_columns
    from feature_repo.feature_services import churn
    from feature_repo.store import store

    feature_store = store(settings, say)
    try:
        service = feature_store.get_feature_service(churn.name)
    except FeatureServiceNotFoundException:
        return None
    answer = feature_store.get_online_features(
        features=service,
        entity_rows=[{"customer_id": name} for name in customer_ids],
    )
    values = answer.to_dict()
    stamps = answer.proto.results[-1].event_timestamps
    by_id: dict[str, Online] = {}
    for index, customer_id in enumerate(customer_ids):
        features = {feature.name: values[feature.name][index] for feature in read_feature_columns()}
        if any(value is not None for value in features.values()):
            by_id[customer_id] = {
                "event_timestamp": stamps[index].ToDatetime().strftime("%Y-%m-%dT%H:%M:%SZ"),
                "features": features,
            }
    return by_id


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


def format_customer(customer: dict[str, Any]) -> list[str]:
    """Format a customer as lines of text: score and reasons first, then every feature."""
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
