"""Text of the tasks' pages in Airflow: what a task does, what red means, what to do."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperator

from lakehouse.node_descriptions import describe_node

GATE = "assert_pending_loads_passed"
REFUSED = (
    "**Red: the gate refused the workbook.** The log of this task names the rule, the place and "
    "the next command; the run's report is behind the link `Report of the run`. Published "
    "tables, model and scores are unchanged."
)
FAILED_TEST = (
    "**Red: the test found rows that break it.** The log of this task names them. Do not clear the "
    "task before their cause is removed: a test that failed fails again."
)
FAILED_MODEL = (
    "**Red: dbt could not build it**, even after two retries. The log of this task has the "
    "error. Remove its cause, then clear the task."
)
FAILED_TASK = "The log of this task says what is wrong, where, and what to do; then clear the task."
PRODUCER = (
    "Runs dbt once for all models and tests; the tasks of the groups `clean`, `engineer`, "
    "`validate` and `publish` show its progress.\n\n"
    "**Red: a model or a test failed.** Look at the red task in the groups; this task has only the "
    "log of dbt."
)


def format_node(node: Mapping[str, Any]) -> str:
    """Return the text of the task of a dbt node."""
    if node["resource_type"] == "model":
        meaning, failure = f"Builds `{node['name']}`.", FAILED_MODEL
    else:
        meaning, failure = f"Runs the test `{node['name']}`.", FAILED_TEST
    failure = REFUSED if node["name"] == GATE else failure
    return "\n\n".join(part for part in (meaning, describe_node(node), failure) if part)


def format_task(meaning: str, failure: str) -> str:
    """Return the text of a task: what it does, and what red means."""
    return f"{meaning}\n\n**Red: {failure}** {FAILED_TASK}"


def set_docs(tasks: Mapping[str, BaseOperator], texts: Mapping[str, tuple[str, str]]) -> None:
    """Set the text of these tasks.

    Args:
        tasks: The tasks by id.
        texts: What each task does, and what red means; by the task's id.
    """
    for name, (meaning, failure) in texts.items():
        tasks[name].doc_md = format_task(meaning, failure)
