"""Read the state of the tables at the end of a past run, by Delta time travel or from bronze.

Cleanup removes a table's old files, whereas bronze is kept forever. The rebuild runs the SQL with
which dbt builds silver and the features, compiled by dbt, over the requested rows of bronze: no
rule is duplicated here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from pyspark.sql.connect.session import SparkSession

from churn.provenance import trace_sql
from churn.provenance.compiled_sql import (
    COMPOSED,
    FEATURES,
    LABELS,
    compose,
    read_constant,
    replace_relations,
)
from churn.provenance.run_history import HINT_NOW, find_champion, read_end_time, read_summary
from lakehouse.dbt_runner import compile_models
from lakehouse.process import Log
from lakehouse.sequences import PUBLICATIONS, VERDICTS, add_number_column, query_sequence
from lakehouse.settings import Settings
from lakehouse.sql import Rows, bind, query
from lakehouse.table_history import TableHistory, none_if_vacuumed, table_history

COUNTS = "load_counts"
TIME_TRAVEL, FROM_BRONZE, AS_NOW = "time travel", "rebuilt from bronze", "unchanged since"


@dataclass(frozen=True)
class RunEnd:
    """End of a past run."""

    run_id: str
    at: datetime
    summary: Mapping[str, Any]

    @property
    def numbers(self) -> Mapping[str, int]:
        """Return the last numbers of loads, verdicts and publications; empty in older runs."""
        return self.summary.get("last_numbers", {})

    @property
    def champion(self) -> str | None:
        """Return the champion at the end of the run; None if the run ended before training."""
        return find_champion(self.summary)

    def has_counted(self, what: str) -> bool:
        """Return whether the run reached the step that counts `what`."""
        return what in self.summary.get("counts", {})


def read_run_end(settings: Settings, run_id: str) -> RunEnd:
    """Return the end of a run.

    Raises:
        lakehouse.errors.InvalidInputError: There is no such run.
    """
    summary = read_summary(settings, run_id, HINT_NOW)
    return RunEnd(run_id, read_end_time(settings, run_id), summary)


class AsOfReader:
    """Reader of the tables as they were at the end of a run, restricted to some customers."""

    def __init__(
        self,
        settings: Settings,
        spark: SparkSession,
        customers: Sequence[str],
        moment: RunEnd,
        source: Rows,
        loads: Rows,
        log: Log,
    ) -> None:
        """Create a reader, whose attribute `read` records how each stage was read.

        Args:
            settings: The settings of this CHURN_HOME.
            spark: A Spark Connect session.
            customers: Ids of the customers.
            moment: The end of the run.
            source: The customers' rows in bronze.
            loads: All loads that existed at that time, oldest first.
            log: Callback for progress messages.
        """
        self._settings, self._spark, self._log = settings, spark, log
        self._customers, self._moment = customers, moment
        self._source, self._loads = source, loads
        self.read: dict[str, str] = {}
        self._histories: dict[str, TableHistory] = {}

    def silver(self) -> tuple[Rows, Rows]:
        """Return the customers and the rejected rows."""
        customers = self._time_travel(
            "silver.customers", trace_sql.SILVER_ROWS, "customers", customers=self._customers
        )
        rejected = self._time_travel(
            "silver.rejected_rows", trace_sql.REJECTED_ROWS, "rejected_rows", **self._rows()
        )
        if customers is not None and rejected is not None:
            self.read["silver"] = self._describe_source("silver.customers")
            return customers, rejected
        self.read["silver"] = FROM_BRONZE
        batches = self._list_silver_loads()
        rows = [
            row
            for row in self._rebuild_rows("customers", batches)
            if row["customer_id"] in self._customers
        ]
        return _sort_by_row(rows), _sort_by_row(self._rebuild_rows("rejected_rows", batches))

    def verdicts(self) -> Rows:
        """Return the last verdict on every load, by the view's own SQL over the gate's log."""
        described = query(self._spark, "describe table extended audit.load_verdicts")
        view = next(row["data_type"] for row in described if row["col_name"] == "View Text")
        rows = add_number_column(self._spark, VERDICTS)
        reached = VERDICTS.existed_condition(self._moment.numbers, self._moment.at)
        log = f"(select * from {rows} where {reached})"
        seen = replace_relations(view, {"audit.gate_results": log})
        return self._query(trace_sql.VERDICTS.format(verdicts=f"({seen})"))

    def read_publications(self, verdicts: Rows) -> Rows:
        """Return the loads in gold, one per extract date: batch, run, times."""
        found = self._publications()
        if found is None:
            found = self._list_passed_loads(verdicts)
        # For a restated date, gold has the load that was published last.
        return list({row["extract_date"]: row for row in found}.values())

    def gold(self, published: Rows, now: Rows) -> Rows:
        """Return gold's rows of the published loads.

        Args:
            published: The loads that gold had.
            now: The rows that gold has now; those that it had at the time are reused.
        """
        unchanged = [
            row
            for row in now
            if PUBLICATIONS.is_included(row, self._moment.numbers, self._moment.at)
        ]
        kept = {row["extract_date"] for row in unchanged}
        gone = [row for row in published if row["extract_date"] not in kept]
        of_batch = {row["batch_id"]: row for row in gone}
        rebuilt = self._rebuild_rows(FEATURES, list(of_batch))
        self.read["gold"] = FROM_BRONZE if rebuilt else AS_NOW
        labels = {
            (row["batch_id"], row["customer_id"]): row["churned"]
            for row in self._rebuild_rows(LABELS, list(of_batch))
        }
        rows = [
            {
                **row,
                **of_batch[row["batch_id"]],
                "file": None,
                "churned": labels[row["batch_id"], row["customer_id"]],
            }
            for row in rebuilt
            if row["customer_id"] in self._customers
        ]
        return sorted(unchanged + rows, key=lambda row: row["extract_date"])

    def scores(self, champion: str) -> Rows:
        """Return the scores, except those that a later score of the same model has replaced."""
        values = {"customers": self._customers, "champion": champion}
        found = self._time_travel("gold.churn_scores", trace_sql.SCORES, "scores", **values)
        if found is not None:
            self.read["scores"] = self._describe_source("gold.churn_scores")
            return found
        self.read["scores"] = AS_NOW
        if not self._spark.catalog.tableExists("gold.churn_scores"):
            return []
        there = query(self._spark, trace_sql.SCORES.format(scores="gold.churn_scores"), **values)
        return [row for row in there if row["scored_at"] <= self._moment.at]

    def has_current_rules(self, versions: Iterable[str]) -> bool | None:
        """Return whether the rebuilt rows follow the rules of the time.

        Args:
            versions: The versions of the rules at the time.

        Returns:
            Whether today's rules have the same version; None if nothing was rebuilt.
        """
        if FROM_BRONZE not in self.read.values():
            return None
        return set(versions) == {read_constant(self._models[COUNTS], "rules_version")}

    def _rows(self) -> dict[str, Any]:
        return {
            "batches": [row["_batch_id"] for row in self._source],
            "row_numbers": [row["_row_number"] for row in self._source],
        }

    def _publications(self) -> Rows | None:
        table = PUBLICATIONS.table
        version = self._version(table)
        if version is None:
            return None
        stood = self._history(table).as_of_clause(version)

        def ask() -> Rows:
            rows = add_number_column(self._spark, PUBLICATIONS, stood)
            return query(self._spark, trace_sql.PUBLICATIONS.replace("{rows}", rows))

        return none_if_vacuumed(ask)

    def _version(self, table: str) -> int | None:
        return self._history(table).version_at(self._moment.at, self._moment.run_id)

    def _time_travel(self, table: str, sql: str, hole: str, **values: Any) -> Rows | None:
        """Return the rows of a query on the table as it was; None if its files were removed."""
        version = self._version(table)
        if version is None:
            return None
        stood = sql.replace(f"{{{hole}}}", self._history(table).as_of_clause(version))
        return none_if_vacuumed(lambda: query(self._spark, stood, **values))

    def _describe_source(self, table: str) -> str:
        history = self._history(table)
        stands = self._version(table) == history.latest
        return AS_NOW if stands else TIME_TRAVEL

    def _history(self, table: str) -> TableHistory:
        if table not in self._histories:
            self._histories[table] = table_history(self._spark, table)
        return self._histories[table]

    def _list_silver_loads(self) -> list[str]:
        """Return the loads in silver: for each date the latest one with a verdict at the time."""
        reached = VERDICTS.existed_condition(self._moment.numbers, self._moment.at)
        rows = query_sequence(
            self._spark, VERDICTS, trace_sql.EVALUATED_BATCHES.replace("{reached}", reached)
        )
        judged = {row["batch_id"] for row in rows}
        latest = {
            row["extract_date"]: row["batch_id"] for row in self._loads if row["batch_id"] in judged
        }
        return list(latest.values())

    def _list_passed_loads(self, verdicts: Rows) -> Rows:
        """Return the loads that had passed, oldest first, from the gate's log (kept forever)."""
        passed = {row["batch_id"]: row for row in verdicts if row["verdict"] == "passed"}
        return [
            {
                **passed[load["batch_id"]],
                "created_timestamp": load["loaded_at"],
                "published_at": None,
            }
            for load in self._loads
            if load["batch_id"] in passed
        ]

    def _rebuild_rows(self, model: str, batches: Sequence[str]) -> Rows:
        """Return the rows that the model's SQL derives from the customers' rows of these loads."""
        own = [row for row in self._source if row["_batch_id"] in batches]
        if not own:
            return []
        self._log("rebuilding from bronze")
        values = {
            "batches": sorted({row["_batch_id"] for row in own}),
            "row_numbers": sorted({row["_row_number"] for row in own}),
        }
        rows = self._query(compose_traced(self._models, model, values))
        asked = {(row["_batch_id"], row["_row_number"]) for row in own}
        return [
            row
            for row in rows
            if "_row_number" not in row or (row["_batch_id"], row["_row_number"]) in asked
        ]

    def _query(self, sql: str) -> Rows:
        rows: Rows = self._spark.sql(sql).toArrow().to_pylist()
        return rows

    @cached_property
    def _models(self) -> dict[str, str]:
        self._log("asking dbt for the SQL of its models")
        return compile_models(self._settings, [*COMPOSED, COUNTS])


def compose_traced(models: Mapping[str, str], last: str, values: Mapping[str, Any]) -> str:
    """Return the SQL of the models from bronze to `last`, restricted to the given rows.

    Rows of one customer are only compared with each other, so that the rows of other customers can
    be left out.

    Args:
        models: The compiled SQL by model.
        last: The model whose rows are wanted.
        values: The batch ids under "batches" and the row numbers under "row_numbers".
    """
    loads = """
        select batch_id, extract_date, _loaded_at as loaded_at, true as to_clean
        from bronze.loads where batch_id in (:batches)
    """
    rows = """
        select * from bronze.telco_customers
        where _batch_id in (:batches) and _row_number in (:row_numbers)
    """
    return compose(models, last, bind(rows, **values), bind(loads, **values))


def _sort_by_row(rows: Rows) -> Rows:
    """Sort rows by extract and, within an extract, by their order in the sheet."""
    return sorted(rows, key=lambda row: (row["extract_date"], row["_row_number"]))
