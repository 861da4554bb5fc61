"""Compose the messages about a refused load: its rules, their values, and what to do."""

from collections.abc import Sequence
from pathlib import Path

from pyspark.sql.connect.session import SparkSession

from churn.pipeline.context import RunContext
from churn.pipeline.notifications import record_refused
from churn.pipeline.rule_texts import format_expected_change, format_refused_load, format_rule
from churn.pipeline.summary import write_final_summary, write_report
from churn.provenance import load_state
from lakehouse.command_name import format_rerun
from lakehouse.errors import GateRefusedError
from lakehouse.progress import Step
from lakehouse.settings import Settings
from lakehouse.sql import Rows

# The dbt test that fails if the gate refused a load.
GATE_TEST = "assert_pending_loads_passed"


def run_refused_error(
    run: RunContext, spark: SparkSession, failures: Sequence[str]
) -> GateRefusedError:
    """Return the error for a run whose load was refused; write its summary and report first.

    Args:
        run: The run; its summary gets the verdict "refused".
        spark: A Spark Connect session.
        failures: One line per failed dbt test, used if the gate's log has no failed rule.
    """
    run.summary["gate"]["verdict"] = "refused"
    write_report(run, spark)
    write_final_summary(run, spark)
    failed = [
        result
        for result in load_state.gate_results(spark, run.summary["batch_id"])
        if result["verdict"] == "failed"
    ]
    rules = [format_rule(result) for result in failed]
    lines = "".join(f"\n    {line}" for line in rules or failures)
    name = Path(run.summary["workbook"]["path"]).name
    rerun = format_rerun(name, run.summary["extract_date"])
    refused = GateRefusedError(
        f"The gate refused {name}; gold, online store, model and scores are as before{lines}",
        where=f"extract of {run.summary['extract_date']}, {run.folder}/report.html",
        hint="look at audit.gate_results and silver.rejected_rows "
        f"(`churn rejects --run {run.run_id} --out rejects.xlsx` gives them back as a workbook), "
        f"correct the workbook, then {rerun}" + format_expected_change(failed),
    )
    refused.summary = run.summary
    return refused


def build_refused_error(refused: list[Rows], failures: Sequence[str]) -> GateRefusedError:
    """Return the error for a build: each refused load with its rules, then the failed dbt tests.

    Args:
        refused: The failed rules of each refused load.
        failures: One line per failed dbt test.
    """
    # For a refused load, the gate's dbt test only repeats the results of the load's rules.
    tests = [line for line in failures if not (refused and line.startswith(GATE_TEST))]
    lines = "".join(f"\n    {line}" for line in [*map(format_refused_load, refused), *tests])
    return GateRefusedError(
        f"The gate refused; what did not pass was not published{lines}",
        where="audit.gate_results, silver.rejected_rows",
        hint="correct the workbook and load it again with the same --extract-date, or look at the "
        "rows that it names" + "".join(map(format_expected_change, refused)),
    )


def warn_of_refused(
    settings: Settings,
    spark: SparkSession,
    run_id: str,
    step: Step,
    except_load: str | None = None,
) -> None:
    """Warn of the loads that the run's build refused, except the run's own load.

    Args:
        settings: The settings of this CHURN_HOME.
        spark: A Spark Connect session.
        run_id: The run whose build is examined.
        step: The step that displays the warnings.
        except_load: Batch id of the run's own load.
    """
    for batch_id, broken in load_state.list_refused_loads(spark, run_id).items():
        if batch_id != except_load:
            step.log(f"warning: the gate also refused {format_refused_load(broken)}")
            record_refused_load(settings, run_id, batch_id, broken)


def record_refused_load(settings: Settings, run_id: str, batch_id: str, broken: Rows) -> None:
    """Record that a build refused a load, to be notified of."""
    rules = [format_rule(result) for result in broken]
    name, day = Path(broken[0]["source_file"]).name, broken[0]["extract_date"]
    record_refused(settings, run_id, batch_id, name, day, rules)
