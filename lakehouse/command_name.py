"""How commands are called in this process: `churn`, or `churn --demo` for the demo's home.

Otherwise the commands in messages would act on another home. Every text that leaves the process
passes here: errors, messages, logs, results, answers of the scoring API and pages.
"""

import os
import re
import shlex
from datetime import date

CHURN, DEMO = "churn", "churn --demo"
# What the name of the demo's home ends with.
SUFFIX = "-demo"
# A command in a text or on a page; `churn demo` is called the same everywhere.
COMMAND = re.compile(r"(`|<code>)churn (?!demo\b|--demo\b)")


def choose_name(home: str) -> str:
    """Return how the command line is called for a home."""
    return DEMO if home.rstrip("/").endswith(SUFFIX) else CHURN


# A process that no command line started, such as a task of Airflow, inherits the demo's home.
_called = choose_name(os.environ.get("CHURN_HOME", ""))


def name_commands(called: str) -> None:
    """Name commands in texts as they are called in this process, such as `churn --demo`."""
    global _called
    _called = called


def format_commands(text: str) -> str:
    """Return a text with its commands as they are called in this process."""
    return rename_commands(text, _called)


def rename_commands(text: str, called: str) -> str:
    """Return a text or a page whose commands are called so, such as `churn --demo`.

    Args:
        text: The text, with commands in backticks, or the HTML, with commands in <code>.
        called: How the command line is called, as `choose_name` returns it.
    """
    return text if called == CHURN else COMMAND.sub(rf"\1{called} ", text)


def format_rerun(file_name: str, extract_date: date | str) -> str:
    """Return the command that runs a corrected workbook for the extract date that it had.

    Without the date, it would be loaded for the day on which the correction was saved.
    """
    return f"`churn run {shlex.quote(file_name)} --extract-date {extract_date}`"
