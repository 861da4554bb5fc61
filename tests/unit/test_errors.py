"""What is made of the messages of other programs' faults."""

import pytest

from lakehouse.dbt_runner import STATEMENT_ERROR
from lakehouse.errors import ChurnError, DiskFullError, InterruptedWorkError, classify_error

WRITE_FAILED = "[TASK_WRITE_FAILED] Task failed while writing rows to file:/lake. SQLSTATE: 58030"
NO_LIBRARY = "java.lang.UnsatisfiedLinkError: no snappyjava in java.library.path"
BAD_CAST = "org.apache.spark.SparkNumberFormatException: [CAST_INVALID_INPUT] SQLSTATE: 22018"


@pytest.mark.parametrize(
    ("message", "kind", "said"),
    [
        ("java.io.IOException: No space left on device", DiskFullError, "disk is full"),
        ("ERROR XJ040: Failed to start database 'metastore'", InterruptedWorkError, "metastore"),
        # what Derby says when it was started with no room
        (
            "in a read-only database is not permitted to disable read-only",
            InterruptedWorkError,
            "metastore",
        ),
        (
            "[INTERNAL_ERROR_HIVE_METASTORE_PARTITION_FILTER] SQLSTATE: XX000",
            InterruptedWorkError,
            "metastore",
        ),
        (
            f"{WRITE_FAILED}\n\tat x\nCaused by: {NO_LIBRARY}\n\tat y",
            InterruptedWorkError,
            NO_LIBRARY,
        ),
        (WRITE_FAILED, InterruptedWorkError, "writing rows to file:/lake"),
        # of a statement that only reads
        (
            f"Job aborted due to stage failure: Lost task 0.0: {NO_LIBRARY}",
            InterruptedWorkError,
            NO_LIBRARY,
        ),
        (
            "java.lang.NoClassDefFoundError: Could not initialize class org.xerial.snappy.Snappy",
            InterruptedWorkError,
            "Could not initialize class",
        ),
    ],
)
def test_a_fault_of_the_machine_is_named(message: str, kind: type[ChurnError], said: str) -> None:
    fault = classify_error(message, "the lake")
    assert type(fault) is kind
    assert said in fault.message
    assert "make room" in fault.hint
    assert fault.requires_server_restart


@pytest.mark.parametrize("message", [f"{WRITE_FAILED}\nCaused by: {BAD_CAST}", BAD_CAST, "other"])
def test_a_fault_of_the_data_is_not_the_machines(message: str) -> None:
    assert classify_error(message, "the lake") is None


@pytest.mark.parametrize(
    ("message", "is_statement_error"),
    [
        ("[PARSE_SYNTAX_ERROR] Syntax error at or near 'selec'. SQLSTATE: 42601", True),
        ("[UNRESOLVED_COLUMN.WITH_SUGGESTION] `tenur` cannot be resolved. SQLSTATE: 42703", True),
        # After a full disk, Derby keeps the locks of an interrupted transaction: Hive then reports
        # a view as missing that the same statement creates.
        (
            "[TABLE_OR_VIEW_NOT_FOUND] `audit`.`load_verdicts` cannot be found. SQLSTATE: 42P01",
            False,
        ),
        ("[TABLE_OR_VIEW_ALREADY_EXISTS] `audit`.`x` already exists. SQLSTATE: 42P07", False),
        ("[SCHEMA_NOT_FOUND] The schema `audit` cannot be found. SQLSTATE: 42704", False),
        ("org.apache.thrift.TException: no SQLSTATE at all", False),
    ],
)
def test_only_an_error_in_the_statement_itself_leaves_the_server_running(
    message: str, is_statement_error: bool
) -> None:
    assert bool(STATEMENT_ERROR.search(message)) is is_statement_error
