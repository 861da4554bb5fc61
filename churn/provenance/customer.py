"""Show a single customer: the values in the online store, and the score.

It needs only the online store, the champion's record and the list of the run: neither Feast nor the
Spark server.
"""

import shlex
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import redis

from churn.provenance.labels import label_feature
from churn.provenance.retention_lists import find_list, format_listed, format_probabilities
from churn.provenance.run_history import HINT_RUN_FIRST
from feature_repo.feature_definitions import read_feature_columns
from feature_repo.label_texts import describe_event
from feature_repo.online.redis_layout import AS_OF, DIGESTS, MARKER, read_row, redis_key
from lakehouse import audit_log, online_store
from lakehouse.amounts import format_amount
from lakehouse.audit_log import Action
from lakehouse.dbt_project import snake_case
from lakehouse.domain import ID, LABEL, Domain, read_domain
from lakehouse.errors import InvalidInputError
from lakehouse.near_matches import format_meant, list_spellings
from lakehouse.process import Log
from lakehouse.settings import Settings
from seeds_loader.contract import read_contract
from trainer import deciles, registry
from trainer.reason_texts import read_reasons
from trainer.scorer import Features, Scorer

# Event timestamp and features of a customer, as stored in the online store.
Online = dict[str, Any]
REJECTED, LABELS = "silver.rejected_rows", "gold.churn_labels"
MARKED_AS_LEFT = "marked as left in the extract of {}: the score decides nothing"


def show_customer(settings: Settings, customer_id: str, log: Log) -> dict[str, Any]:
    """Return a customer's values in the online store, and the champion's score for them.

    Raises:
        InvalidInputError: The online store does not have the customer, or nothing was ever written
            to it.
    """
    # The loader normalizes ids to NFC; earlier versions did not.
    composed = unicodedata.normalize("NFC", customer_id)
    audit_log.append(settings, Action.SHOW, [composed])
    by_id = read_online_customers(settings, list(dict.fromkeys([customer_id, composed])), log)
    if by_id is None:
        raise InvalidInputError(
            "Nothing is online yet", where="feature view customer_features", hint=HINT_RUN_FIRST
        )
    if customer_id not in by_id:
        customer_id = composed
    online = by_id.get(customer_id)
    if online is None:
        raise _unknown_customer_error(settings, customer_id, log)
    score = score_online_customer(settings, customer_id, online["features"])
    day = online["event_timestamp"][:10]
    stored = find_list(settings, score["model_version"], day) if score else None
    listed = stored.describe(customer_id) if stored else None
    return {
        "customer_id": customer_id,
        **online,
        "has_left": read_has_left(settings, customer_id, day),
        "score": score,
        "retention_list": listed,
    }


def _unknown_customer_error(settings: Settings, customer_id: str, log: Log) -> InvalidInputError:
    message = f"There is no customer {customer_id!r} in the online store"
    where = "feature view customer_features"
    rejected = find_rejected_extract(settings, customer_id)
    if rejected:
        return InvalidInputError(
            f"{message}: its row in the extract of {rejected} was rejected",
            where=where,
            hint=f"`churn trace {shlex.quote(customer_id)}` has the row and its errors",
        )
    return InvalidInputError(
        message,
        where=where,
        hint=f"{_suggest_spelling(settings, customer_id, log)}check the id; "
        f"`churn trace {shlex.quote(customer_id)}` has every row of it that was loaded",
    )


def find_rejected_extract(settings: Settings, customer_id: str) -> str | None:
    """Return the date of the latest extract that rejected a row of the customer; None without."""
    # Not needed for a customer who is in the online store, and slow to load.
    import pyarrow.compute as pc

    from lakehouse.lake_files import is_delta, locate_table, read_rows

    table = locate_table(settings.lake, REJECTED)
    try:
        if not is_delta(table):
            return None
        rows = read_rows(
            table,
            read_contract().id,
            lambda ids: pc.equal(pc.utf8_trim_whitespace(ids.cast("string")), customer_id),
            current_only=True,
        )
    except OSError:
        return None
    return max((str(row.values["extract_date"]) for row in rows), default=None)


def read_has_left(settings: Settings, customer_id: str, extract_date: str) -> bool | None:
    """Return whether the published extract marks the customer as left; None if it is unknown."""
    # Slow to load.
    import pyarrow.compute as pc

    from lakehouse.lake_files import locate_table, read_rows

    place = locate_table(settings.lake, LABELS).join(f"extract_date={extract_date}")
    try:
        rows = (
            read_rows(place, ID, lambda ids: pc.equal(ids.cast("string"), customer_id))
            if place.exists()
            else []
        )
    except OSError:
        return None
    return bool(rows[0].values[LABEL]) if rows else None


def _suggest_spelling(settings: Settings, customer_id: str, log: Log) -> str:
    """Return the beginning of a hint with the same id in another case or without blanks.

    Other ids, however similar, are those of other people: a message does not disclose them.
    """
    spellings = sorted(list_spellings(customer_id))
    return format_meant(sorted(read_online_customers(settings, spellings, log) or {}))


def read_online_customers(
    settings: Settings, customer_ids: Sequence[str], log: Log
) -> dict[str, Online] | None:
    """Read customers from the online store, and start the embedded one if it is not running.

    Returns:
        Event timestamp and features by customer id, without customers that the store does not
        have; None if no extract was ever written completely.

    Raises:
        UnavailableError: The online store does not respond.
    """
    names = [feature.name for feature in read_feature_columns()]
    address = online_store.ensure_running(settings, log)
    try:
        with address.client() as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.exists(MARKER)
            pipeline.hget(DIGESTS, AS_OF)
            for customer_id in customer_ids:
                pipeline.hgetall(redis_key(customer_id))
            is_complete, as_of, *hashes = pipeline.execute()
    except redis.RedisError as error:
        place = online_store.describe_location(settings)
        raise online_store.translate_redis_error(error, place) from error
    rows = {
        customer_id: row
        for customer_id, stored in zip(customer_ids, hashes, strict=True)
        if (row := read_row(names, stored, as_of)) is not None
    }
    if not rows and not is_complete:
        return None
    return {
        customer_id: {
            "event_timestamp": f"{row.event_timestamp:%Y-%m-%dT%H:%M:%SZ}",
            "features": row.features,
        }
        for customer_id, row in rows.items()
    }


def score_online_customer(
    settings: Settings, customer_id: str, features: Features
) -> dict[str, Any] | None:
    """Score a customer with the champion, as the batch does; None before it has scored anything."""
    version = registry.champion_version(settings)
    record = registry.read_record(settings, version) if version else None
    boundaries = deciles.read(registry.folder(settings) / version) if version else None
    if record is None or boundaries is None:
        return None
    answer = Scorer(record, read_reasons()).answer(features)
    return {
        "probability": answer.probability,
        "decile": boundaries.decile(answer.probability, customer_id),
        "model_version": version,
        "event": describe_event(record.label),
        "reasons": [reason.text for reason in answer.reasons],
    }


def format_customer(customer: dict[str, Any]) -> list[str]:
    """Format a customer as lines of text: list, score and reasons first, then every feature."""
    day = customer["event_timestamp"][:10]
    lines = [f"{customer['customer_id']} as of {day}"]
    if customer["has_left"]:
        lines.append(f"  {MARKED_AS_LEFT.format(day)}")
    score, listed = customer["score"], customer["retention_list"]
    if score is None:
        lines.append("  no score yet: `churn score`")
    else:
        first, *others = format_probabilities(listed, score, score["event"])
        lines += [f"  {first}", *(f"    {text}" for text in others)]
        lines.append(f"    {deciles.format_group(score['decile'])}; model {score['model_version']}")
        if score["reasons"]:
            reasons = "; ".join(score["reasons"])
            lines.append(f"    raised most, against the average customer, by: {reasons}")
        if listed:
            lines += [f"  {text}" for text in format_listed(listed)]
    lines.append("  what the score is made of (`--json` has the model's numbers):")
    shown = [(label_feature(name), text) for name, text in format_features(customer["features"])]
    width = max((len(label) for label, _ in shown), default=0)
    lines += [f"    {label:<{width}}  {text}" for label, text in shown]
    return lines


def format_features(features: Features) -> Iterator[tuple[str, str]]:
    """Yield features with their values as the domain calls them.

    One-hot columns are shown as their category, flags as Yes or No, groups by their text, amounts
    with their currency.
    """
    contract, domain = read_contract(), read_domain()
    amounts = _find_amounts(domain)
    units = {column.silver: column.unit for column in contract.columns}
    categories = {
        f"{column.silver}_{snake_case(category)}": (column.silver, category)
        for column in contract.columns
        for category in column.categories
    }
    flags = {column.silver for column in contract.columns if column.type == "flag"}
    derived = domain.features.derived_features
    flags |= {
        name
        for name, each in derived.items()
        if each.type == "integer" and each.range == (0, 1) and not each.texts
    }
    for name, value in features.items():
        if name in categories:
            if value == 1:
                yield categories[name]
        elif name in flags:
            yield name, "Yes" if value == 1 else "No"
        elif name in amounts:
            yield name, format_amount(value, domain.report.currency, 2)
        else:
            text = derived[name].format(value) if name in derived else None
            number = f"{value:,.2f}".removesuffix(".00")
            unit = units.get(name, "")
            unit = unit.removesuffix("s") if value == 1 else unit
            # A label such as "Months with us" has the unit already.
            is_named = not unit or units[name].casefold() in label_feature(name).casefold()
            yield name, text or (number if is_named else f"{number} {unit}")


def _find_amounts(domain: Domain) -> set[str]:
    """Return the numbers that are amounts: those that the reasons format as such.

    The inputs of one reason that are numbers have the same meaning.
    """
    return {
        name
        for feature, terms in domain.features.reasons.items()
        if terms.number == "amount"
        for name in (feature, *terms.inputs)
    }
