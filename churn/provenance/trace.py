"""Trace the lineage of customers, stage by stage, from the cells of a workbook to the score."""

import json
import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from churn.provenance.as_of import FROM_BRONZE, RunEnd, read_run_end
from churn.provenance.customer import Online, read_online_customers
from churn.provenance.retention_lists import StoredList, find_list
from churn.provenance.trace_queries import (
    BRONZE,
    SCORES,
    SILVER,
    TraceData,
    read_stages,
    require_in_bronze,
)
from churn.provenance.trace_rules import explain_rejection, find_changes, find_standardised_cells
from feature_repo.feature_definitions import VIEW, read_feature_columns
from feature_repo.online.redis_layout import redis_key
from feature_repo.project import PROJECT_NAME
from lakehouse import audit_log, spark_server, spark_session
from lakehouse.audit_log import Action
from lakehouse.errors import InvalidInputError
from lakehouse.process import Log
from lakehouse.settings import Settings
from lakehouse.storage import path_from_uri
from seeds_loader.contract import Contract, read_contract
from seeds_loader.reject_messages import read_reject_messages
from trainer import registry
from trainer.reason_texts import read_reasons
from trainer.record import ModelRecord
from trainer.scorer import Scorer, probability

Lineage = dict[str, Any]
Hop = dict[str, Any]
SERVICE = "churn"
RULE_FIELDS = ("rule", "figure", "threshold", "compared_with")


def trace_customers(
    settings: Settings, customer_ids: Sequence[str], log: Log, run_id: str | None = None
) -> list[Lineage]:
    """Return the sources of the customers' numbers, from workbook row to score.

    Args:
        settings: The settings of this CHURN_HOME.
        customer_ids: Ids of the customers.
        log: Callback for progress messages.
        run_id: The run at whose end to trace; default: the current state.

    Returns:
        One object per customer, with JSON types only.

    Raises:
        lakehouse.errors.InvalidInputError: No loaded workbook has one of the customers, or there is
            no such run.
    """
    moment = read_run_end(settings, run_id) if run_id is not None else None
    champion = moment.champion if moment else registry.champion_version(settings)
    customers = list(dict.fromkeys(text.strip() for text in customer_ids))
    audit_log.append(settings, Action.TRACE, customers, run=run_id)
    require_in_bronze(settings, customers)
    spark_server.ensure_running(settings, log)
    with spark_session.session(settings) as spark:
        try:
            data = read_stages(settings, spark, customers, champion or "", moment, log)
        except InvalidInputError:
            # The loader normalizes ids to NFC; earlier versions did not.
            composed = [unicodedata.normalize("NFC", customer) for customer in customers]
            if composed == customers:
                raise
            customers = composed
            data = read_stages(settings, spark, customers, champion or "", moment, log)
    online = (read_online_customers(settings, customers, log) or {}) if moment is None else {}
    tracing = Tracing(settings, data, champion, moment, online)
    plain: list[Lineage] = json.loads(
        json.dumps([tracing.lineage(customer) for customer in customers], default=str)
    )
    return plain


class Tracing:
    """Compose each customer's lineage from the rows that were read for all customers."""

    def __init__(
        self,
        settings: Settings,
        data: TraceData,
        champion: str | None,
        moment: RunEnd | None,
        online: Mapping[str, Online],
    ) -> None:
        """Prepare the composition.

        Args:
            settings: The settings of this CHURN_HOME.
            data: The rows of all stages.
            champion: The champion's version; None if there was none.
            moment: The end of the traced run; None for the current state.
            online: The customers' values in the online store; empty for a past run.
        """
        self._settings, self._data, self._champion = settings, data, champion
        self._moment, self._online = moment, online
        self._contract: Contract = read_contract()
        self._words = read_reject_messages()
        self._lake = settings.lake
        self._records: dict[str, ModelRecord | None] = {}
        self._scorers: dict[str, Scorer] = {}
        self._lists: dict[tuple[str, str], StoredList | None] = {}
        self._features = [feature.name for feature in read_feature_columns()]

    def lineage(self, customer_id: str) -> Lineage:
        """Return all stages of a customer."""
        silver = list(self._trace_silver(customer_id))
        gold = list(self._trace_gold(customer_id))
        scores = list(self._trace_scores(customer_id, gold))
        of_customer = [row["extract_date"] for row in gold]
        return {
            "customer_id": customer_id,
            "as_of": self._data.as_of,
            "bronze": list(self._trace_bronze(customer_id)),
            "rejected": list(self._trace_rejects(customer_id)),
            "silver": silver,
            "gate": list(self._trace_gate(customer_id)),
            "gold": gold,
            "feast": self._trace_feast(customer_id, gold),
            "online": self._find_online_values(customer_id, gold),
            "model": self._trace_model(scores),
            "scores": scores,
            "retention_list": self._find_in_list(customer_id, scores),
            "history": list(self._trace_history(silver, gold, scores)),
            "absent_from": [
                row["extract_date"]
                for row in self._data.published
                if row["extract_date"] not in of_customer
            ],
        }

    # --- bronze and silver ---------------------------------------------------

    def _trace_source(self, customer_id: str) -> list[Hop]:
        return [row for row in self._data.source if row[self._contract.id].strip() == customer_id]

    def _trace_bronze(self, customer_id: str) -> Iterator[Hop]:
        for row in self._trace_source(customer_id):
            yield {
                "file": row["_source_file"],
                "sha256": row["_source_sha256"],
                "sheet": row["_sheet"],
                "row_number": row["_row_number"],
                "extract_date": row["_extract_date"],
                "cells": {name: row.get(name) for name in self._contract.names},
                "extra": dict(row["_extra"] or {}),
                "table": BRONZE,
                "version": self._bronze_version(row),
                "batch_id": row["_batch_id"],
                "loaded_at": row["_loaded_at"],
                "became": self._describe_outcome(row),
            }

    def _bronze_version(self, row: Mapping[str, Any]) -> int | None:
        """Return the version of the load's commit: the last one before the next load began."""
        later = (
            load["loaded_at"] for load in self._data.loads if load["loaded_at"] > row["_loaded_at"]
        )
        now = self._moment.at if self._moment else None
        history = self._data.histories[BRONZE]
        return history.last_write_between(row["_loaded_at"], min(later, default=now))

    def _describe_outcome(self, row: Mapping[str, Any]) -> str:
        key = _row_key(row)
        if key in map(_row_key, self._data.silver):
            return "silver"
        if key in map(_row_key, self._data.rejected):
            return "rejected"
        of_date = [
            load for load in self._data.loads if load["extract_date"] == row["_extract_date"]
        ]
        return "restated" if of_date[-1]["batch_id"] != row["_batch_id"] else "not cleaned yet"

    def _trace_rejects(self, customer_id: str) -> Iterator[Hop]:
        cells = {_row_key(row): row for row in self._trace_source(customer_id)}
        winning_rows = {
            row["_batch_id"]: row["_row_number"]
            for row in self._data.silver
            if row["customer_id"] == customer_id
        }
        for row in self._data.rejected:
            if _row_key(row) in cells:
                kept_row = winning_rows.get(row["_batch_id"])
                yield {
                    "batch_id": row["_batch_id"],
                    "row_number": row["_row_number"],
                    "extract_date": row["extract_date"],
                    "reasons": row["reasons"],
                    "words": explain_rejection(
                        row["reasons"],
                        cells[_row_key(row)],
                        self._contract,
                        self._words,
                        kept_row,
                    ),
                    "kept_row": kept_row,
                }

    def _trace_silver(self, customer_id: str) -> Iterator[Hop]:
        cells = {_row_key(row): row for row in self._trace_source(customer_id)}
        rejected = list(self._trace_rejects(customer_id))
        rules_versions = {
            evaluation["batch_id"]: evaluation["rules_version"]
            for evaluation in self._data.evaluations
        }
        for row in self._data.silver:
            if row["customer_id"] != customer_id:
                continue
            batch_id = row["_batch_id"]
            cleaning = self._data.cleanings.get(batch_id, {})
            yield {
                "batch_id": batch_id,
                "row_number": row["_row_number"],
                "extract_date": row["extract_date"],
                "table": SILVER,
                "version": self._silver_version(row["extract_date"]),
                "cleaned_at": cleaning.get("cleaned_at"),
                "rules_version": cleaning.get("rules_version") or rules_versions.get(batch_id),
                "values": {
                    column.silver: row.get(column.silver) for column in self._contract.columns
                },
                "standardised": list(
                    find_standardised_cells(cells[_row_key(row)], row, self._contract)
                ),
                "lost": [
                    {key: reject[key] for key in ("row_number", "reasons", "words")}
                    for reject in rejected
                    if reject["batch_id"] == batch_id
                ],
            }

    def _silver_version(self, extract_date: date) -> int | None:
        """Return the version that wrote the date's rows; None if the rows were rebuilt."""
        history = self._data.histories[SILVER]
        if self._moment is None:
            return history.last_write_of_extract(extract_date)
        until = history.version_at(self._moment.at, self._moment.run_id)
        if until is None or self._describe_read("silver") == FROM_BRONZE:
            return None
        return history.last_write_of_extract(extract_date, until)

    def _describe_read(self, hop: str) -> str | None:
        return self._data.as_of["read"].get(hop) if self._data.as_of else None

    # --- gate and gold -------------------------------------------------------

    def _trace_gate(self, customer_id: str) -> Iterator[Hop]:
        batches = dict.fromkeys(row["_batch_id"] for row in self._trace_source(customer_id))
        for batch_id in batches:
            results = [row for row in self._data.evaluations if row["batch_id"] == batch_id]
            if not results:
                continue
            yield {
                "batch_id": batch_id,
                "verdict": self._data.verdicts.get(batch_id),
                **{key: results[0][key] for key in ("judged_at", "run_id", "rules_version")},
                **{
                    verdict: [
                        {key: row[key] for key in RULE_FIELDS}
                        for row in results
                        if row["verdict"] == verdict and row["severity"] in severities
                    ]
                    for verdict, severities in (("failed", ("error",)), ("warned", ("warn",)))
                },
            }

    def _trace_gold(self, customer_id: str) -> Iterator[Hop]:
        for row in self._data.gold:
            if row["customer_id"] == customer_id:
                file = self._lake.relative_path(path_from_uri(row["file"])) if row["file"] else None
                yield {
                    "extract_date": row["extract_date"],
                    "batch_id": row["batch_id"],
                    "run_id": row["run_id"],
                    "published_at": row["published_at"],
                    "event_timestamp": row["event_timestamp"],
                    "created_timestamp": row["created_timestamp"],
                    "table": "gold.customer_features",
                    "partition": f"extract_date={row['extract_date']}",
                    "file": file,
                    "churned": row["churned"],
                    "features": {name: row[name] for name in self._features if name in row},
                }

    # --- online --------------------------------------------------------------

    def _latest_gold(self, gold: Sequence[Hop]) -> Hop | None:
        """Return the customer's row of the latest published extract, which is the one online."""
        latest = max((row["extract_date"] for row in self._data.published), default=None)
        return next((row for row in gold if row["extract_date"] == latest), None)

    def _find_online_values(self, customer_id: str, gold: Sequence[Hop]) -> Online | None:
        """Return the customer's values online; for a past run, as that run verified them."""
        if self._moment is None:
            return self._online.get(customer_id)
        latest = self._latest_gold(gold)
        if latest is None or not self._moment.has_counted("online_verified"):
            return None
        stamp = f"{latest['extract_date']}T00:00:00Z"
        return {"event_timestamp": stamp, "features": latest["features"]}

    def _trace_feast(self, customer_id: str, gold: Sequence[Hop]) -> Hop:
        latest, online = self._latest_gold(gold), self._find_online_values(customer_id, gold)
        expected = latest["features"] if latest else {}
        actual = online["features"] if online else {}
        differences = [
            {"feature": name, "gold": expected.get(name), "online": actual.get(name)}
            for name in dict.fromkeys([*expected, *actual])
            if expected.get(name) != actual.get(name)
        ]
        if (
            latest
            and online
            and not online["event_timestamp"].startswith(str(latest["extract_date"]))
        ):
            stamps = {"gold": str(latest["event_timestamp"]), "online": online["event_timestamp"]}
            differences.append({"feature": "event_timestamp", **stamps})
        proven = self._moment is None or self._moment.has_counted("online_verified")
        return {
            "project": PROJECT_NAME,
            "entity": "customer",
            "view": VIEW,
            "service": SERVICE,
            "redis_key": redis_key(customer_id).hex(),
            "event_timestamp": latest["event_timestamp"] if latest else None,
            # The store's content at a past run is only known if that run verified it.
            "equals_gold": not differences if proven else None,
            "differences": differences if proven else [],
        }

    # --- model and score -----------------------------------------------------

    def _record(self, version: str) -> ModelRecord | None:
        if version not in self._records:
            self._records[version] = registry.read_record(self._settings, version)
        return self._records[version]

    def _trace_model(self, scores: Sequence[Hop]) -> Hop | None:
        """Return the model of the first score, else the champion, with its training data."""
        version = scores[0]["model_version"] if scores else self._champion
        record = self._record(version) if version else None
        if record is None:
            return None
        loads = {load["batch_id"]: load for load in self._data.loads}
        return {
            "version": record.version,
            "kind": record.kind,
            "champion": record.version == self._champion,
            "created": record.created,
            "roc_auc": record.metrics["roc_auc"],
            "parameters": record.parameters,
            "training": {
                "extract_date": record.extract_date,
                "label": record.label,
                "rows": record.rows,
                "signature": record.signature,
                "loads": [
                    {
                        "batch_id": batch_id,
                        "extract_date": loads[batch_id]["extract_date"],
                        "file": loads[batch_id]["source_file"],
                        "sha256": loads[batch_id]["source_sha256"],
                    }
                    for batch_id in record.batches
                    if batch_id in loads
                ],
            },
        }

    def _trace_scores(self, customer_id: str, gold: Sequence[Hop]) -> Iterator[Hop]:
        features = {row["batch_id"]: row["features"] for row in gold}
        history = self._data.histories[SCORES]
        rows = [row for row in self._data.scores if row["customer_id"] == customer_id]
        latest = self._latest_gold(gold)
        if self._moment and latest and not rows and self._moment.has_counted("scored"):
            yield from self._recompute_scores(latest)
        for row in rows:
            explained = self._explain_score(row["model_version"], features.get(row["_batch_id"]))
            yield {
                "probability": row["probability"],
                "decile": row["decile"],
                "model_version": row["model_version"],
                "extract_date": row["extract_date"],
                "reasons": row["reasons"],
                "batch_id": row["_batch_id"],
                "scored_at": row["scored_at"],
                "table": SCORES,
                "version": history.first_write_after(row["scored_at"]),
                "explanation": explained,
            }

    def _find_in_list(self, customer_id: str, scores: Sequence[Hop]) -> Hop | None:
        """Return what the list made of the first score has of the customer; None without one."""
        if not scores:
            return None
        key = scores[0]["model_version"], str(scores[0]["extract_date"])
        if key not in self._lists:
            moment = self._moment
            run_id = moment.summary.get("report_run", moment.run_id) if moment else None
            self._lists[key] = find_list(self._settings, *key, run_id)
        stored = self._lists[key]
        return stored.describe(customer_id) if stored else None

    def _recompute_scores(self, gold: Hop) -> Iterator[Hop]:
        """Recompute a past run's score, which the table no longer has, from the model's parameters.

        The decile is unknown, because it requires the scores of all customers.
        """
        scorer = self._scorer(self._champion, gold["features"])
        if self._champion and scorer:
            answer = scorer.answer(gold["features"])
            yield {
                "probability": answer.probability,
                "decile": None,
                "model_version": self._champion,
                "extract_date": gold["extract_date"],
                "reasons": [asdict(reason) for reason in answer.reasons],
                "batch_id": gold["batch_id"],
                "scored_at": None,
                "table": None,
                "version": None,
                "explanation": self._explain_score(self._champion, gold["features"]),
            }

    def _explain_score(self, version: str, features: Mapping[str, Any] | None) -> Hop | None:
        """Recompute the score from the model's parameters and gold's row.

        Baseline and contributions are log-odds; None if the model or the row is missing.
        """
        scorer = self._scorer(version, features)
        if scorer is None or features is None:
            return None
        contributions = scorer.contributions(features)
        log_odds = scorer.baseline + math.fsum(reason.contribution for reason in contributions)
        return {
            "baseline": scorer.baseline,
            "contributions": [asdict(reason) for reason in contributions],
            "log_odds": log_odds,
            "probability": probability(log_odds),
        }

    def _scorer(self, version: str | None, features: Mapping[str, Any] | None) -> Scorer | None:
        """Return the scorer for these features; None if the model or some feature is missing."""
        record = self._record(version) if version else None
        if record is None or features is None or not set(record.features) <= set(features):
            return None
        if record.version not in self._scorers:
            self._scorers[record.version] = Scorer(record, read_reasons())
        return self._scorers[record.version]

    # --- history -------------------------------------------------------------

    def _trace_history(
        self,
        silver: Sequence[Hop],
        gold: Sequence[Hop],
        scores: Sequence[Hop],
    ) -> Iterator[Hop]:
        """Yield every extract with the customer, oldest first: its times and the changes in it."""
        silver_of = {row["extract_date"]: row for row in silver}
        gold_of = {row["extract_date"]: row for row in gold}
        # The first score of a date is the relevant one.
        score_of = {row["extract_date"]: row for row in reversed(scores)}
        loaded = {load["batch_id"]: load["loaded_at"] for load in self._data.loads}
        before: tuple[Any, Any] = (None, None)
        for day in sorted({*silver_of, *gold_of}):
            cleaned, published = silver_of.get(day), gold_of.get(day)
            score = score_of.get(day)
            batch_id = (published or cleaned or {})["batch_id"]
            now = (cleaned and cleaned["values"], published and published["features"])
            yield {
                "extract_date": day,
                "batch_id": batch_id,
                "loaded_at": loaded.get(batch_id),
                "published_at": published["published_at"] if published else None,
                "run_id": published["run_id"] if published else None,
                "scored_at": score["scored_at"] if score else None,
                "model_version": score["model_version"] if score else None,
                "probability": score["probability"] if score else None,
                "decile": score["decile"] if score else None,
                "changes": {
                    "silver": find_changes(before[0], now[0]),
                    "features": find_changes(before[1], now[1]),
                },
            }
            before = (now[0] or before[0], now[1] or before[1])


def _row_key(row: Mapping[str, Any]) -> tuple[str, int]:
    """Return the key of a row: its load, and its number in the sheet."""
    return row["_batch_id"], row["_row_number"]
