"""What is made of the messages of other programs' faults."""

import pytest

from lakehouse.errors import ChurnError, DiskFullError, InterruptedWorkError, named_breakdown

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
    ],
)
def test_a_fault_of_the_machine_is_named(message: str, kind: type[ChurnError], said: str) -> None:
    fault = named_breakdown(message, "the lake")
    assert type(fault) is kind
    assert said in fault.what
    assert "make room" in fault.remedy
    assert fault.shakes_server


@pytest.mark.parametrize("message", [f"{WRITE_FAILED}\nCaused by: {BAD_CAST}", BAD_CAST, "other"])
def test_a_fault_of_the_data_is_not_the_machines(message: str) -> None:
    assert named_breakdown(message, "the lake") is None
