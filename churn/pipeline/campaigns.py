"""Run retention campaigns: draw a control group, read back what happened, measure the effect.

A campaign is started from the latest scored extract: the customers worth calling, of whom a part,
drawn by lot, is not called. The next published extract says who left. Steps that are repeated give
the same result and write nothing twice.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql.connect.session import SparkSession

from churn.pipeline.context import new_run_id, writer_session
from churn.pipeline.outcome_workbook import Outcome, read_outcomes
from churn.pipeline.steps import run_dbt
from churn.provenance import campaign_records as records
from churn.reports.retention_list import read_scored_extract, select_customers
from churn.reports.retention_workbook import (
    ListedCustomer,
    RetentionList,
    write_retention_workbook,
)
from churn.reports.xlsx_output import require_writable, translate_write_errors
from feature_repo.feature_definitions import read_feature_columns
from lakehouse import audit_log
from lakehouse.atomic_write import atomic_write
from lakehouse.audit_log import Action
from lakehouse.domain import ListColumn, Offer
from lakehouse.errors import InvalidInputError
from lakehouse.lake_files import read_current_rows
from lakehouse.near_matches import format_suggestion
from lakehouse.progress import Steps
from lakehouse.settings import Settings
from lakehouse.sql import Rows, query
from trainer import uplift
from trainer.retention_campaign import Campaign, Effect

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
# Fifths of the probability, so that both arms have customers of every risk.
STRATA = 5
# Of the folds and the bootstrap of the advice.
SEED = 42
# More customers than any list has.
ALL = 1_000_000
MODELS = ["--select", "tag:campaigns"]
CONTACTED, CONTROL = "contacted", "control"


class AlreadyRecordedError(InvalidInputError):
    """Raised if a file of outcomes was recorded before, so that nothing is to be done."""


@dataclass(frozen=True)
class Started:
    """A started campaign: its list, as written to `path`, and the size of its control group."""

    selected: RetentionList
    controls: int
    path: Path

    def format(self) -> str:
        """Return a message about the campaign."""
        return (
            f"{self.path}: {self.selected.headline}; {self.controls:,} customers in the control "
            "group"
        )


@dataclass(frozen=True)
class Request:
    """What the user asks for: a number of calls or a budget, and the share of the control group."""

    name: str
    top: int | None
    budget: float | None
    control_share: float

    def format(self) -> str:
        """Return the request as text, by which a repeated one is recognised."""
        size = f"budget {self.budget:g}" if self.budget is not None else f"top {self.top}"
        return f"{size}, control {self.control_share:g}"


def start(  # long: one error after another
    settings: Settings, request: Request, out: Path, progress: Steps
) -> Started:
    """Start a campaign and write its list; repeated after an interruption, complete it.

    A list that a started campaign has at `out` already is left as it is, because the team may have
    entered outcomes.

    Args:
        settings: The settings of this CHURN_HOME.
        request: Name and size of the campaign.
        out: The .xlsx file to write.
        progress: Progress display.

    Returns:
        The campaign.

    Raises:
        InvalidInputError: The name is taken or not a name, nothing was scored yet, or too few
            customers are worth calling.
    """
    if not NAME.fullmatch(request.name):
        raise InvalidInputError(
            f"'{request.name}' can't be the name of a campaign",
            where="NAME",
            hint="use lower-case letters, digits and hyphens, at most 40",
        )
    if not out.exists():
        require_writable(out)
    # Checked before a run is recorded, and again under the lock.
    for stored in read_current_rows(settings.lake, records.CAMPAIGNS, "campaign") or []:
        if stored["campaign"] == request.name:
            _require_same(stored, request)
    with (
        writer_session(settings, "churn campaign start", progress) as spark,
        progress.step("start") as step,
    ):
        records.create_tables(spark)
        started = records.find_campaign(spark, request.name)
        if started is None:
            # An existing file can only be the list of a started campaign.
            require_writable(out)
            selected = _draw(settings, spark, request)
        else:
            _require_same(started, request)
            selected = _read_list(spark, started)
        if started and out.exists():
            step.log(f"{request.name} was started before; {out.name} is left as it is")
        else:
            audit_log.append(settings, Action.LIST, campaign=request.name, file=str(out))
            with translate_write_errors(out), atomic_write(out) as draft:
                write_retention_workbook(selected, draft)
        run_dbt(settings, MODELS, new_run_id(), step)
        result = Started(selected, _count_controls(spark, request.name), out)
        step.outcome = selected.headline
    return result


def _require_same(started: Mapping[str, Any], request: Request) -> None:
    if started["request"] != request.format():
        raise InvalidInputError(
            f"There is a campaign {request.name} already: {started['request']}",
            where=f"{records.CAMPAIGNS}, started {started['started_at']:%Y-%m-%d}",
            hint="name another one; `churn campaign list` shows them",
        )


def record(  # long: one error after another
    settings: Settings, name: str, file: Path, progress: Steps
) -> str:
    """Record the outcomes that the team has entered into a campaign's list.

    Args:
        settings: The settings of this CHURN_HOME.
        name: The campaign.
        file: The list, as `start` wrote it, with outcomes.
        progress: Progress display.

    Returns:
        A message about the record.

    Raises:
        InvalidInputError: There is no such campaign, it is closed, the file was recorded before, or
            a row of it is not as it was written; nothing is recorded then.
    """
    _require_in_bronze(settings, name)
    for closing in read_current_rows(settings.lake, records.CLOSINGS, "campaign") or []:
        if closing["campaign"] == name:
            raise _closed_error(closing)
    with (
        writer_session(settings, "churn campaign record", progress) as spark,
        progress.step("record") as step,
    ):
        _require_open(spark, name)
        members = [each for each in records.read_members(spark, name) if each["arm"] == CONTACTED]
        before = query(
            spark,
            f"""
            select source_sha256, max(record_number) as record_number from {records.OUTCOMES}
            where campaign = :campaign group by source_sha256
            """,
            campaign=name,
        )
        read = read_outcomes(file, members, step.log)
        if read.sha256 in {each["source_sha256"] for each in before}:
            raise AlreadyRecordedError(
                f"{file.name} was recorded before",
                where=f"campaign {name}",
                hint="do nothing; a later version of the file replaces what is recorded",
            )
        number = max((each["record_number"] for each in before), default=0) + 1
        records.append(
            spark, records.OUTCOMES, _outcome_rows(name, read.outcomes, number, read.sha256)
        )
        called, reached, accepted = (
            sum(getattr(each, key) or False for each in read.outcomes)
            for key in ("called", "reached", "accepted")
        )
        step.outcome = f"{called:,} called, {reached:,} reached, {accepted:,} accepted"
    return f"{name}: {step.outcome}"


def close(settings: Settings, name: str, progress: Steps) -> list[str]:
    """Close a campaign with the next published extract and return its results as text.

    Repeated, it shows the same results.

    Raises:
        InvalidInputError: There is no such campaign, or no later extract was published yet.
    """
    _require_in_bronze(settings, name)
    with (
        writer_session(settings, "churn campaign close", progress) as spark,
        progress.step("close") as step,
    ):
        started = _require_started(spark, name)
        closing = records.find_closing(spark, name)
        if closing is None:
            day = _find_next_extract(spark, started)
            closing = {"campaign": name, "extract_date": day, "closed_at": datetime.now(UTC)}
            records.append(spark, records.CLOSINGS, [closing])
        run_dbt(settings, MODELS, new_run_id(), step)
        results = query(
            spark,
            "select * from gold.campaign_results where campaign = :campaign order by analysis",
            campaign=name,
        )
        advice = _advise(spark)
        step.outcome = f"extract of {closing['extract_date']}"
    return [*format_results(results), *advice]


def _advise(spark: SparkSession) -> list[str]:
    """Return what all closed campaigns say about whom to call."""
    features = [feature.name for feature in read_feature_columns()]
    trial = records.read_trial(spark, features)
    return [uplift.format_advice(trial, uplift.advise(trial, SEED))] if trial else []


def format_campaign(row: dict[str, Any]) -> str:
    """Return a campaign as a line of text."""
    line = (
        f"{row['campaign']}  {row['status']}  extract of {row['extract_date']}, "
        f"{row['contacted']:,} to call, {row['control']:,} control"
    )
    if row["effect"] is None:
        return line
    return (
        f"{line}; {row['effect'] * 100:.1f} points fewer left "
        f"({row['effect_low'] * 100:.1f} to {row['effect_high'] * 100:.1f})"
    )


def format_results(results: Rows) -> list[str]:
    """Return the results of a closed campaign as lines of text."""
    if not results:
        return ["nothing to compare: one of the two groups is empty"]
    titles = {
        "intention_to_treat": "everyone who was to be called",
        "per_protocol": "only those who were reached, who are not a random part",
    }
    lines = []
    for row in results:
        low, high = row["effect_low"] * 100, row["effect_high"] * 100
        lines += [
            f"{titles[row['analysis']]}:",
            f"  left: {row['contacted_left']:,} of {row['contacted']:,} "
            f"({row['contacted_rate']:.1%}), of the control group {row['control_left']:,} of "
            f"{row['control']:,} ({row['control_rate']:.1%})",
            f"  effect: {row['effect'] * 100:.1f} points fewer left ({low:.1f} to {high:.1f})",
            f"  saved: {row['saved']:,.0f} ({row['saved_low']:,.0f} to {row['saved_high']:,.0f}), "
            f"after costs of {row['costs']:,.0f}",
        ]
        if row["analysis"] == "intention_to_treat" and row["customers_needed"] is not None:
            lines.append(
                f"  the next campaign needs {row['customers_needed']:,.0f} customers to show an "
                "effect of this size"
            )
    return lines


def draw_arms(probabilities: Sequence[float], controls: int, seed: int) -> list[tuple[int, str]]:
    """Return the stratum, from 1, and the arm of each customer.

    Each fifth by probability has its share of the control group, as nearly as whole numbers allow.

    Args:
        probabilities: Probability of leaving of each customer.
        controls: Size of the control group.
        seed: Seed of the draw; the same seed draws the same customers.
    """
    chance = np.random.default_rng(seed)
    strata = np.array_split(np.argsort(-np.asarray(probabilities), kind="stable"), STRATA)
    shares = np.array([len(each) for each in strata]) * controls / len(probabilities)
    sizes = np.floor(shares).astype(int)
    # The largest remainders get what is left; equal ones are drawn.
    order = np.lexsort((chance.random(STRATA), sizes - shares))
    sizes[order[: controls - sizes.sum()]] += 1
    drawn: dict[int, tuple[int, str]] = {}
    for stratum, (indices, size) in enumerate(zip(strata, sizes, strict=True), 1):
        chosen = set(chance.choice(indices, size, replace=False).tolist())
        drawn |= {
            index: (stratum, CONTROL if index in chosen else CONTACTED)
            for index in indices.tolist()
        }
    return [drawn[index] for index in range(len(probabilities))]


def _draw(settings: Settings, spark: SparkSession, request: Request) -> RetentionList:
    """Select and draw the customers of a new campaign, and record them."""
    scored, publication = read_scored_extract(settings, spark)
    found = select_customers(settings, spark, scored, publication, ALL, is_campaign=True)
    customers, controls = _choose_size(found.listed, request)
    identity = f"{request.name}|{publication.batch_id}|{request.format()}"
    seed = int(hashlib.sha256(identity.encode()).hexdigest()[:12], 16)
    drawn = draw_arms([each.probability for each in customers], controls, seed)
    listed = [each for each, (_, arm) in zip(customers, drawn, strict=True) if arm == CONTACTED]
    ranks = {each.customer_id: rank for rank, each in enumerate(listed, 1)}
    # An interrupted start has left members, perhaps of other customers.
    records.remove_interrupted(spark, request.name)
    members = [
        {
            "campaign": request.name,
            **{"customer_id": each.customer_id, "arm": arm, "stratum": stratum},
            **{"list_rank": ranks.get(each.customer_id), "offer": each.offer, "cost": each.cost},
            **{"probability": each.probability, "revenue": each.revenue, "gain": each.gain},
            "listed_as": json.dumps(asdict(each)) if arm == CONTACTED else None,
        }
        for each, (stratum, arm) in zip(customers, drawn, strict=True)
    ]
    records.append(spark, records.MEMBERS, members)
    selected = replace(found, name=request.name, listed=listed)
    row = {
        "campaign": request.name,
        "extract_date": publication.extract_date,
        "model_version": scored.version,
        "started_at": datetime.now(UTC),
        "seed": seed,
        "control_share": controls / len(customers),
        "request": request.format(),
        "contact_cost": found.campaign.contact_cost,
        "assumed_effect": found.campaign.effect.value,
        "listed_as": json.dumps(
            {k: v for k, v in asdict(selected).items() if k not in ("listed", "extract_date")}
        ),
    }
    records.append(spark, records.CAMPAIGNS, [row])
    return selected


def _choose_size(
    listed: Sequence[ListedCustomer], request: Request
) -> tuple[Sequence[ListedCustomer], int]:
    """Return the customers of the campaign, and the size of its control group."""
    share = request.control_share
    if request.budget is not None:
        spent = np.cumsum([each.cost for each in listed]) * (1 - share)
        chosen = listed[: int(np.searchsorted(spent, request.budget, side="right"))]
    else:
        assert request.top is not None
        chosen = listed[: round(request.top / (1 - share))]
    controls = max(1, round(len(chosen) * share))
    if len(chosen) <= controls:
        raise InvalidInputError(
            f"{len(chosen):,} customers are worth calling, too few for a campaign",
            where="the latest scored extract, without the customers of open campaigns",
            hint="ask for more calls or a larger budget; look at costs and effect in campaign.yml",
        )
    return chosen, controls


def _read_list(spark: SparkSession, started: dict[str, Any]) -> RetentionList:
    """Return the list of a started campaign as it was drawn."""
    members = records.read_members(spark, started["campaign"])
    listed = [json.loads(each["listed_as"]) for each in members if each["arm"] == CONTACTED]
    found = json.loads(started["listed_as"])
    declared = found.pop("campaign")
    effect = Effect(**declared.pop("effect"))
    offers = {name: Offer(**offer) for name, offer in declared.pop("offers").items()}
    return RetentionList(
        campaign=Campaign(**declared, effect=effect, offers=offers),
        columns=[ListColumn(**column) for column in found.pop("columns")],
        extract_date=started["extract_date"],
        listed=[ListedCustomer(**each) for each in listed],
        **found,
    )


def _count_controls(spark: SparkSession, name: str) -> int:
    members = records.read_members(spark, name)
    return sum(each["arm"] == CONTROL for each in members)


def _require_started(spark: SparkSession, name: str) -> dict[str, Any]:
    started = records.find_campaign(spark, name)
    if started is None:
        names = [each["campaign"] for each in records.list_campaigns(spark)]
        raise _unknown_campaign_error(name, names)
    return started


def _require_in_bronze(settings: Settings, name: str) -> None:
    """Check that a campaign exists by the lake's files, before a server is started for it."""
    rows = read_current_rows(settings.lake, records.CAMPAIGNS, "campaign") or []
    names = [row["campaign"] for row in rows]
    if name not in names:
        raise _unknown_campaign_error(name, names)


def _unknown_campaign_error(name: str, names: Sequence[str]) -> InvalidInputError:
    hint = (
        f"{format_suggestion(name, names)}`churn campaign list` lists them"
        if names
        else "there is none yet: `churn campaign start NAME --out FILE.xlsx` starts one"
    )
    return InvalidInputError(f"There is no campaign {name!r}", where=records.CAMPAIGNS, hint=hint)


def _require_open(spark: SparkSession, name: str) -> None:
    _require_started(spark, name)
    if (closing := records.find_closing(spark, name)) is not None:
        raise _closed_error(closing)


def _closed_error(closing: Mapping[str, Any]) -> InvalidInputError:
    return InvalidInputError(
        f"The campaign {closing['campaign']} is closed",
        where=f"closed {closing['closed_at']:%Y-%m-%d}",
        hint="its measured effect is final; `churn campaign close` shows it",
    )


def _find_next_extract(spark: SparkSession, started: dict[str, Any]) -> Any:
    rows = query(
        spark,
        """
        select min(extract_date) as next_date from gold.publications
        where extract_date > :day
        """,
        day=started["extract_date"],
    )
    if rows[0]["next_date"] is None:
        raise InvalidInputError(
            f"No extract after {started['extract_date']} is published yet: it says who left",
            where=f"campaign {started['campaign']}",
            hint="`churn run` the next workbook first",
        )
    return rows[0]["next_date"]


def _outcome_rows(
    name: str, outcomes: Sequence[Outcome], number: int, sha256: str
) -> list[dict[str, Any]]:
    recorded_at = datetime.now(UTC)
    return [
        {
            "campaign": name,
            **asdict(each),
            **{"record_number": number, "source_sha256": sha256, "recorded_at": recorded_at},
        }
        for each in outcomes
    ]
