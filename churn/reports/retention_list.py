"""Select the customers worth calling: what to offer each of them, its cost and expected gain.

The expected gain of an offer is what the customer is worth × the probability that the customer
would leave and stays because of the offer − the costs. That probability is the smaller of two: what
campaigns achieve (the probability of leaving × the effect, measured or assumed), and what the model
attributes to the offer. A customer for whom no offer gains anything is not listed.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql.connect.session import SparkSession

from churn.provenance.campaign_records import open_members_condition, read_measurements
from churn.reports.retention_workbook import (
    ListedCustomer,
    RetentionList,
    write_retention_workbook,
)
from churn.reports.xlsx_output import require_writable, translate_write_errors
from feature_repo.label_texts import describe_limit, describe_period
from feature_repo.publications import Publication, find_latest_publication
from lakehouse import audit_log, spark_server, spark_session
from lakehouse.atomic_write import atomic_write
from lakehouse.audit_log import Action
from lakehouse.domain import Offer, read_domain
from lakehouse.erased_customers import read_erased_customers
from lakehouse.errors import InvalidInputError
from lakehouse.process import Log
from lakehouse.sample_home import is_sample
from lakehouse.settings import Settings
from lakehouse.sql import bind, literal
from lakehouse.storage import escape_glob
from seeds_loader.contract import format_value, read_contract
from trainer import hazard_model, registry
from trainer.explain import SMALLEST, TOP, contributions_column, log_odds_column
from trainer.reason_texts import NumberTemplate, Reason, ReasonText, read_reasons, reasons_for
from trainer.record import ModelRecord
from trainer.retention_campaign import Campaign, Effect, read_campaign

# Customers of a list unless the user says otherwise.
MOST = 100
# A reason that more than this share of the customers have does not tell them apart.
COMMON = 0.5
# A reason that at least this share of the listed have comes after a customer's others.
NEARLY_ALL = 0.9
# Use the out-of-fold probability if the model was trained on the row, which it would recognise. A
# row of a later extract was not used for training, so that its score is equally good.
WORTH_CALLING = """
with

scored as (

    select customer_id, probability from gold.churn_scores

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

    where extract_date = :day and churned = 0 and {selectable}

),

valued as (

    select
        features.*,
        coalesce(unseen.probability, scored.probability) as probability,
        unseen.probability is not null as is_unseen,
        staying.* except (customer_id),
        {revenue} as revenue,
        {odds} as odds

    from gold.customer_features as features

    inner join scored using (customer_id)

    inner join staying using (customer_id)

    left join unseen using (customer_id)

    where features.extract_date = :day

),

-- the offers that a customer can be made, with the probability that the model gives with each
offered as (

    select *, array_compact(array({offers})) as offers from valued

),

gained as (

    select
        *,
        array_max(
            filter(
                transform(
                    offers,
                    offer -> named_struct(
                        'gain',
                        least(probability * {effect}, probability - coalesce(offer.probability, 0))
                        * revenue - offer.cost,
                        'name', offer.name,
                        'probability', offer.probability,
                        'cost', offer.cost
                    )
                ),
                offer -> offer.gain > 0
            )
        ) as best

    from offered

),

final as (

    select
        customer_id,
        probability,
        is_unseen,
        revenue,
        best,
        {contributions} as contributions,
        {numbers} as numbers{shown}

    from gained

    where best is not null

),

-- what each reason adds to the risk of all whom a call would pay, whatever the list's length
reference as (

    select
        reason.feature,
        avg(reason.contribution) as mean

    from (select explode(contributions) as reason from final)

    group by reason.feature

)

select
    *,
    (select count(*) from final) as paying,
    (select collect_list(struct(*)) from reference) as reference
from final
order by best.gain desc, customer_id
limit :most
"""


@dataclass(frozen=True)
class RaisingReason:
    """A reason that raises a customer's risk.

    Attributes:
        feature: The feature that it is named after.
        text: Its text for the customer.
        value: The number in the text; None if it has none.
    """

    feature: str
    text: str
    value: float | None = None


def write_retention_list(settings: Settings, limit: int, path: Path, log: Log) -> str:
    """Write the customers who are most worth calling to a workbook.

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
    spark_server.ensure_running(settings, log)
    with spark_session.session(settings) as spark:
        record, publication = read_scored_extract(settings, spark)
        log(f"extract of {publication.extract_date}, scored by {record.version}")
        selected = select_customers(settings, spark, record, publication, limit)
    audit_log.append(
        settings,
        Action.LIST,
        extract_date=str(publication.extract_date),
        version=record.version,
        most=limit,
        file=str(path),
    )
    with translate_write_errors(path), atomic_write(path) as draft:
        write_retention_workbook(selected, draft)
    return f"{path}: {selected.headline}"


def read_scored_extract(settings: Settings, spark: SparkSession) -> tuple[ModelRecord, Publication]:
    """Return the champion and the latest published extract, which it has scored.

    The scoring API answers with the same two, so a list is never older than its answers.

    Raises:
        InvalidInputError: There is no such extract, or it has no scores by the champion.
    """
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


def select_customers(  # long: its arguments, each with a line, and the list's content
    settings: Settings,
    spark: SparkSession,
    record: ModelRecord,
    publication: Publication,
    limit: int,
    is_campaign: bool = False,
) -> RetentionList:
    """Return the customers with the highest expected gain, the highest first.

    Args:
        settings: The settings of this CHURN_HOME.
        spark: A Spark Connect session.
        record: The champion.
        publication: The extract, scored by it.
        limit: Maximum number of customers.
        is_campaign: Whether to leave out all customers of open campaigns, not only their control
            groups, which no list has.

    Raises:
        InvalidInputError: The model has no out-of-fold probabilities, or does not know a feature
            that an offer sets.
    """
    hazard = hazard_model.read(
        registry.folder(settings) / record.version, [*record.features, *record.derived]
    )
    campaign = read_campaign().with_measured(read_measurements(spark))
    campaign = campaign.with_hazard(hazard, record.derived)
    shown = read_domain().report.list_columns
    if not registry.has_out_of_fold(settings, record.version):
        raise InvalidInputError(
            f"The model {record.version} is from before out-of-fold probabilities were kept",
            where=str(registry.folder(settings) / record.version),
            hint="`churn train` makes one that has them",
        )
    reasons = reasons_for([*record.features, *record.derived], read_reasons())
    query = _compose_query(campaign, record, reasons, [column.column for column in shown])
    objections = read_erased_customers(settings, "objections")
    selectable = open_members_condition(spark, control_only=not is_campaign)
    sql = bind(
        query.replace("{selectable}", selectable),
        day=publication.extract_date,
        version=record.version,
        # The list is complete although those who object are left out below.
        most=limit + len(objections.hashes),
    )
    out_of_fold = f"{registry.pipeline(settings, record.version)}/{registry.OUT_OF_FOLD}"
    rows = spark.sql(sql, out_of_fold=spark.read.parquet(escape_glob(out_of_fold)))
    gained = rows.toArrow().to_pylist()
    willing = [row for row in gained if not objections.includes(row["customer_id"])]
    found = willing[:limit]
    # Customers beyond the list who object are not known by name here, and are counted.
    paying = gained[0]["paying"] - len(gained) + len(willing) if gained else 0
    contract, domain = read_contract(), read_domain()
    means = {each["feature"]: each["mean"] for row in gained[:1] for each in row["reference"]}
    raising = _find_raising_reasons(found, means, domain.features.sensitive_reasons)
    common = find_common_reasons(list(raising.values()))
    raising = _put_shared_last(raising, common)
    texts = {reason.feature: reason.text for reason in reasons}
    return RetentionList(
        extract_date=publication.extract_date,
        customers=publication.customers,
        model=record.version,
        kind=record.kind,
        campaign=campaign,
        is_sample=is_sample(settings),
        columns=shown,
        common_reasons=[
            (describe_common_reason(feature, raising.values(), texts[feature]), count)
            for feature, count in common.items()
        ],
        period=describe_period(record.label),
        model_limit=describe_limit(record.label),
        paying=paying if campaign.revenue else None,
        is_out_of_fold=all(row["is_unseen"] for row in found),
        listed=[
            _list_customer(
                row,
                campaign.effect,
                [reason.text for reason in raising[row["customer_id"]][:TOP]],
                [
                    format_value(row[f"_{column.column}"], contract.find(column.column))
                    for column in shown
                ],
            )
            for row in found
        ],
    )


def _list_customer(
    row: dict[str, Any], effect: Effect, reasons: list[str], details: list[Any]
) -> ListedCustomer:
    best = row["best"]
    # Scaled as a whole: what the model attributes to an offer, where that is the smaller of the
    # two, is as uncertain as the effect of a campaign.
    saved = best["gain"] + best["cost"]
    return ListedCustomer(
        customer_id=row["customer_id"],
        probability=row["probability"],
        revenue=row["revenue"],
        offer=best["name"],
        cost=best["cost"],
        probability_with_offer=best["probability"],
        gain=best["gain"],
        gain_low=saved * effect.low / effect.value - best["cost"],
        gain_high=saved * effect.high / effect.value - best["cost"],
        reasons=reasons,
        details=details,
    )


def _find_raising_reasons(
    rows: Sequence[dict[str, Any]], means: Mapping[str, float], sensitive: Collection[str]
) -> dict[str, list[RaisingReason]]:
    """Return for each customer the reasons that raise the risk, the most distinguishing first.

    Distinguishing is what raises it most above the average of the customers worth calling. A
    sensitive reason is left out: a caller reads the list, and may tell the customer. Where all that
    raise the risk are negligible, the strongest of them is the reason.

    Args:
        rows: The customers, as the query returns them.
        means: What each reason adds on average to the risk of the customers worth calling.
        sensitive: The reasons to leave out.
    """

    def order(row: Mapping[str, Any]) -> list[RaisingReason]:
        told = [
            each
            for each in row["contributions"]
            if each["contribution"] > 0 and each["feature"] not in sensitive
        ]
        strongest = sorted(told, key=lambda each: -each["contribution"])[:1]
        raising = [each for each in told if each["contribution"] >= SMALLEST] or strongest
        raising.sort(key=lambda each: means[each["feature"]] - each["contribution"])
        values = {each["feature"]: each["value"] for each in row["numbers"]}
        return [
            RaisingReason(each["feature"], each["text"], values.get(each["feature"]))
            for each in raising
        ]

    return {row["customer_id"]: order(row) for row in rows}


def find_common_reasons(raising: Sequence[Sequence[RaisingReason]]) -> dict[str, int]:
    """Return the features whose reason most customers have, with their number.

    The most frequent is first. The texts need not be equal: they may have a number of the customer.

    Args:
        raising: For each customer, all reasons that raise the risk.
    """
    counts = Counter(reason.feature for reasons in raising for reason in reasons)
    common = [(name, count) for name, count in counts.items() if count > COMMON * len(raising)]
    # What a single customer has is not in common.
    common = [each for each in common if each[1] > 1]
    return dict(sorted(common, key=lambda each: (-each[1], each[0])))


def _put_shared_last(
    raising: Mapping[str, Sequence[RaisingReason]], common: Mapping[str, int]
) -> dict[str, list[RaisingReason]]:
    """Return the reasons of each customer, those that nearly all listed customers have last.

    They are stated above the list. A customer without other reasons still has them.

    Args:
        raising: For each customer, all reasons that raise the risk, in order.
        common: The features whose reason most customers have, with their number.
    """
    shared = {name for name, count in common.items() if count >= NEARLY_ALL * len(raising)}
    return {
        customer: sorted(reasons, key=lambda each: each.feature in shared)
        for customer, reasons in raising.items()
    }


def describe_common_reason(
    feature: str, raising: Collection[Sequence[RaisingReason]], text: ReasonText
) -> str:
    """Return a reason that most customers have in one text, a number with its range.

    Args:
        feature: The feature that the reason is named after.
        raising: For each customer, all reasons that raise the risk.
        text: The template of the reason.
    """
    reasons = [each for reasons in raising for each in reasons if each.feature == feature]
    values = [each.value for each in reasons if each.value is not None]
    if isinstance(text, NumberTemplate) and values:
        return text.render_range(min(values), max(values))
    return " or ".join(text for text, _ in Counter(each.text for each in reasons).most_common())


def _compose_query(
    campaign: Campaign, record: ModelRecord, reasons: Sequence[Reason], details: Sequence[str]
) -> str:
    """Return the query; without a value, all customers are worth the same and nothing costs."""
    has_value = campaign.revenue is not None
    contact = campaign.contact_cost if has_value else 0.0
    offers = [
        _compose_offer(name, offer, record, contact, has_value)
        for name, offer in campaign.offers.items()
    ]
    nothing = (
        "named_struct('name', cast(null as string), 'cost', "
        f"{contact}D, 'probability', cast(null as double))"
    )
    return (
        WORTH_CALLING.replace("{revenue}", campaign.revenue or "1D")
        .replace("{effect}", f"{campaign.effect.value!r}D")
        .replace("{odds}", log_odds_column(record.form, record.derived))
        .replace("{offers}", ", ".join(offers) or nothing)
        .replace("{contributions}", contributions_column(record.form, reasons, record.derived))
        .replace("{numbers}", _compose_numbers(reasons))
        .replace("{details}", "".join(f", {name} as _{name}" for name in details))
        .replace("{shown}", "".join(f", _{name}" for name in details))
    )


def _compose_numbers(reasons: Sequence[Reason]) -> str:
    """Return the numbers in the texts of the reasons, as an array of structs in SQL."""
    numbers = ", ".join(
        f"named_struct('feature', {literal(reason.feature)}, 'value', "
        f"cast(`{reason.text.feature}` as double))"
        for reason in reasons
        if isinstance(reason.text, NumberTemplate)
    )
    return f"cast(array({numbers}) as array<struct<feature: string, value: double>>)"


def _compose_offer(
    name: str, offer: Offer, record: ModelRecord, contact: float, has_value: bool
) -> str:
    """Return an offer as a struct in SQL, null if the customer can't be made it.

    The offer changes the customer's log-odds by the effect that the model attributes to it.
    """
    missing = [feature for feature in offer.sets if feature not in record.features]
    if missing:
        raise InvalidInputError(
            f"The offer {name} sets {', '.join(missing)}, which the model does not know",
            where="offers in campaign.yml of the domain",
            hint=f"set features of the model: {', '.join(record.features)}",
        )
    sets = {feature: f"cast({value} as double)" for feature, value in offer.sets.items()}
    derived = dict(record.derived)
    for feature, value in sets.items():
        derived = {key: sql.replace(f"`{feature}`", value) for key, sql in derived.items()}
    odds = log_odds_column(record.form, {**derived, **sets})
    cost = f"cast({offer.costs} as double) + {contact}D" if has_value else "0D"
    probability = f"1 / (1 + exp(-(ln(probability / (1 - probability)) + {odds} - odds)))"
    return (
        f"if({offer.condition}, named_struct('name', {literal(name)}, 'cost', {cost}, "
        f"'probability', {probability}), null)"
    )
