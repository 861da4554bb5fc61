"""Call dbt in this process; analysts run the same project with `dbt build`."""

import itertools
import os
import re
import textwrap
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lakehouse import spark_process, spark_server
from lakehouse.amounts import format_number
from lakehouse.commit_metadata import RUN, USER, user
from lakehouse.dbt_project import project_folder
from lakehouse.errors import ChurnError, InterruptedWorkError, classify_error
from lakehouse.lineage import DbtArtifacts, read_dbt
from lakehouse.log_format import ERROR, INFO
from lakehouse.process import ProcessInfo
from lakehouse.project_files import PROJECT
from lakehouse.run_log import MAYBE_PUBLISHED, format_duration, set_effect, write_log
from lakehouse.settings import Settings
from lakehouse.sql_errors import SQL_STATE

# SQLSTATE class of errors in the statement itself: its syntax, or an undefined column or function.
# After any other error the server itself may be broken, for example its metastore by a full disk.
# A broken metastore also reports tables and schemas as missing, or as existing already.
STATEMENT_ERROR = re.compile(r"SQLSTATE: 42(?!P01|P06|P07|704|710)")
# Where the stack of a Java error begins, and the line that dbt adds to its messages.
JAVA_STACK = re.compile(r"\n\s*at [\w.$]+\(")
COMPILED_CODE = re.compile(r"\s*compiled code at ")
# The models that are views: of a query, and of the rows that a query had when they were built.
VIEWS = ("config.materialized:view", "config.materialized:literal_view")
# Exposures describe users of the tables; nothing of them is built, but dbt would count them.
NO_EXPOSURES = ("--exclude-resource-type", "exposure")
# Folder of dbt's artifacts, below CHURN_HOME.
TARGET = "dbt"
# dbt's events about nodes.
STARTED = "LogStartLine"
SKIPPED = "SkippingDetails"
ENDED = ("LogModelResult", "LogTestResult", SKIPPED)
TESTS = ("test", "unit_test")
# Tables of this schema are what readers see.
PUBLISHED_SCHEMA = "gold"
OnNode = Callable[[int, int, str], None]


@dataclass(frozen=True)
class BuildResult:
    """The test counts and messages that dbt reported.

    `failures` and `warnings` contain one line for each test that failed or warned. `work` contains
    the artifacts of the call, from which its lineage is derived.
    """

    tests: int
    passed: int
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    work: DbtArtifacts | None = None

    def format_tests(self) -> str:
        """Format how many of dbt's tests passed; the gate's rules are counted by its verdict."""
        return f"{self.passed} of {self.tests} dbt tests passed"

    def merge_earlier(self, earlier: "BuildResult") -> "BuildResult":
        """Return this result plus the failures and warnings of an earlier dbt call."""
        return replace(
            self,
            failures=list(dict.fromkeys([*earlier.failures, *self.failures])),
            warnings=list(dict.fromkeys([*earlier.warnings, *self.warnings])),
        )


def dbt_build(
    settings: Settings, arguments: Sequence[str], run_id: str, on_node: OnNode
) -> BuildResult:
    """Run `dbt build` with the arguments and return the test results; a failed test does not raise.

    Raises:
        ServerLostError: If the server ended or does not respond.
        DiskFullError: If a model could not be written.
        InterruptedWorkError: If a model failed for a reason other than its SQL.
        ChurnError: If a model's SQL is invalid, or dbt could not run.
    """
    os.environ.update(settings.for_dbt(), **{RUN: run_id, USER: user()})
    running = spark_server.ensure_running(settings, lambda _: None)
    answer = _invoke(settings, ["build", *NO_EXPOSURES, *arguments], on_node)
    if answer.exception is not None:
        spark_process.check_running(settings, running)
        raise ChurnError(
            f"dbt could not build: {answer.exception}",
            where=f"{settings.home}/logs/dbt/dbt.log",
            hint="correct what the message names; `dbt show --inline 'select 1'` checks the "
            "connection",
        )
    _raise_on_failed_model(answer.result.results, settings, running)
    return replace(_test_results(answer.result.results), work=read_dbt(settings.home / TARGET))


def run_dbt_command(settings: Settings, arguments: Sequence[str]) -> None:
    """Run another dbt command, for example `docs generate`.

    Raises:
        ChurnError: If the command failed.
    """
    os.environ.update(settings.for_dbt())
    answer = _invoke(settings, list(arguments), lambda *_: None)
    if not answer.success:
        raise ChurnError(
            f"dbt {' '.join(arguments)} failed: {answer.exception or 'see the log'}",
            where=f"{settings.home}/logs/dbt/dbt.log",
            hint="correct what the message names",
        )


def make_views(settings: Settings) -> list[str]:
    """Create all views of the project and return their names as `schema.view`.

    Raises:
        ChurnError: If dbt could not create a view.
    """
    os.environ.update(settings.for_dbt())
    answer = _invoke(settings, ["run", "--select", *VIEWS], lambda *_: None)
    if not answer.success:
        message = answer.exception or next(
            result.message for result in answer.result if result.message
        )
        raise ChurnError(
            f"dbt could not create a view: {_format_message(str(message))}",
            where=f"{settings.home}/logs/dbt/dbt.log",
            hint="correct what the message names",
        )
    return [f"{result.node.schema}.{result.node.alias}" for result in answer.result.results]


def compile_models(settings: Settings, names: Sequence[str]) -> dict[str, str]:
    """Return the SQL of models by name, as a build of this checkout would run it, without building.

    Raises:
        ChurnError: If dbt could not compile the models.
    """
    os.environ.update(settings.for_dbt())
    # A separate target folder: a build in progress reads and writes the default one.
    answer = _invoke(settings, ["compile", "--select", *names], lambda *_: None, "dbt_compiled")
    if not answer.success:
        raise ChurnError(
            f"dbt could not compile {', '.join(names)}: {answer.exception or 'see the log'}",
            where=f"{settings.home}/logs/dbt/dbt.log",
            hint="correct what the message names",
        )
    return {result.node.name: result.node.compiled_code for result in answer.result.results}


def _invoke(settings: Settings, arguments: list[str], on_node: OnNode, target: str = TARGET) -> Any:
    from dbt.cli.main import dbtRunner

    locations = [
        *("--project-dir", str(project_folder(settings.home))),
        *("--profiles-dir", str(PROJECT)),
        *("--target-path", str(settings.home / target), "--log-level", "none"),
        *("--log-path", str(settings.home / "logs" / "dbt"), "--log-level-file", "debug"),
    ]
    watcher = NodeWatcher(on_node)
    answer = dbtRunner(callbacks=[watcher]).invoke([*arguments, *locations])
    watcher.log_tests()
    if isinstance(answer.exception, KeyboardInterrupt):  # dbt returns it as an error of its own
        raise answer.exception
    return answer


class NodeWatcher:
    """Count and log the nodes that dbt has completed, and name the one that it works on.

    A model has a line in the log of the run. Tests that passed have one line together, since there
    are many of them, before that of the next model or failed test.
    """

    def __init__(self, on_node: OnNode) -> None:
        """Create the callback; nodes run in several threads and complete in any order."""
        self._on_node = on_node
        self._numbers = itertools.count(1)
        self._done = 0
        self._lock = threading.Lock()
        self._passed: list[float] = []  # durations of the tests that are not logged yet
        self._passed_state = ""

    def __call__(self, event: Any) -> None:
        """Report a node that starts, ends or is skipped."""
        if event.info.name not in (STARTED, *ENDED):
            return
        node = event.data.node_info
        # Events of models and of tests use different names for the total.
        total = getattr(event.data, "total", 0) or getattr(event.data, "num_models", 0)
        if event.info.name in ENDED:
            self._done = next(self._numbers)
            self._log_end(event, f"{self._done:,} of {total:,} models and tests")
        elif (node.resource_type, node.node_relation.schema) == ("model", PUBLISHED_SCHEMA):
            set_effect(MAYBE_PUBLISHED)
        if total:
            self._on_node(self._done, total, node.node_name)

    def _log_end(self, event: Any, state: str) -> None:
        node = event.data.node_info
        took = getattr(event.data, "execution_time", 0.0)
        status = "" if event.info.name == SKIPPED else event.data.status.lower()
        with self._lock:
            if node.resource_type in TESTS and status == "pass":
                self._passed.append(took)
                self._passed_state = state
                return
            self._log_passed()
            result = {"": "skipped", "error": "error", "fail": "failed", "warn": "warned"}
            text = f"dbt: {state}; {node.node_name}: {result.get(status, 'built')}"
            duration = f" in {format_duration(took)}" if status else ""
            write_log(f"{text}{duration}", ERROR if status == "error" else INFO)

    def log_tests(self) -> None:
        """Log the tests that passed since the last line; call it when dbt has ended."""
        with self._lock:
            self._log_passed()

    def _log_passed(self) -> None:
        if self._passed:
            count, seconds = len(self._passed), sum(self._passed)
            tests = format_number(count, "test")
            text = f"dbt: {self._passed_state}; {tests}: passed in {format_duration(seconds)}"
            write_log(text)
            self._passed.clear()


def _raise_on_failed_model(
    results: Sequence[Any], settings: Settings, running: ProcessInfo
) -> None:
    for result in results:
        is_test = result.node.resource_type in TESTS
        if result.status == "error" or (not is_test and result.status == "fail"):
            spark_process.check_running(settings, running)
            message = result.message or ""
            write_log(f"{result.node.unique_id}: {message}", ERROR)
            location = f"the lake, {settings.lake.address}, at {result.node.name}"
            if (known_error := classify_error(message, location)) is not None:
                raise known_error
            is_statement_error = STATEMENT_ERROR.search(message)
            kind = ChurnError if is_statement_error else InterruptedWorkError
            raise kind(
                f"dbt could not build {result.node.name}: {_format_error(message)}",
                where=result.node.original_file_path,
                hint="correct the SQL, then repeat the command; the full text is in "
                f"{settings.home}/logs/dbt/dbt.log",
            )


def _test_results(results: Sequence[Any]) -> BuildResult:
    tests = [result for result in results if result.node.resource_type in TESTS]
    return BuildResult(
        tests=len(tests),
        passed=sum(test.status == "pass" for test in tests),
        failures=[_format_result(test) for test in tests if test.status == "fail"],
        warnings=[_format_result(test) for test in tests if test.status == "warn"],
    )


def _format_result(result: Any) -> str:
    return f"{result.node.name}: {_format_message(result.message)}"


def _format_error(message: str) -> str:
    """Format dbt's message about a model: an error in its SQL as it is, others in one line.

    dbt puts a line with the model before it, and a line with the compiled file after it.
    """
    lines = [line for line in message.splitlines() if not COMPILED_CODE.match(line)]
    if not SQL_STATE.search(message) or JAVA_STACK.search(message):
        return _format_message("\n".join(lines))
    body = textwrap.dedent("\n".join(lines[1:])).strip()
    return textwrap.indent(f"\n{body}", "    ").rstrip()


def _format_message(message: str | None) -> str:
    text = JAVA_STACK.split(message or "")[0]
    return " ".join(text.split())[:400]
