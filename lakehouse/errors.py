"""What can go wrong, by the exit code it ends with.

Every message to a person says what is wrong, where, and what to do about it.
"""

from typing import Any

# How operating systems, Java and dbt's messages say that no more can be written.
DISK_FULL_WORDS = ("No space left on device", "File too large", "Disk quota exceeded")
# How both endpoints of the Spark server say that a password is missing or wrong.
PASSWORD_REFUSED_WORDS = (
    "No authentication token provided",
    "Invalid authentication token",
    "Error validating the login",
)
# Derby, the metastore's database, gives up for good when it can't write; it says so in many ways.
METASTORE_BROKEN_WORDS = (
    "Failed to start database",
    "HIVE_METASTORE",
    "org.apache.derby",
    "read-only database",
)
# SQLSTATE's classes: a fault of the system beneath Spark, and one of the data.
SYSTEM_AT_FAULT, DATA_AT_FAULT = "SQLSTATE: 58", "SQLSTATE: 22"


class ChurnError(Exception):
    """A fault with a place and a remedy; `exit_code` is what the command ends with.

    `shakes_server`: the Spark server may be harmed, or still at work on what was asked of it; the
    next writer starts from a fresh one.
    """

    exit_code = 1
    shakes_server = False

    def __init__(self, what: str, *, where: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}\n  where: {self.where}\n  what to do: {self.remedy}"


class InvalidInputError(ChurnError):
    """The request or the workbook can't be used; nothing was written."""

    exit_code = 2


class GateRefusedError(ChurnError):
    """The gate refused a load; gold, Redis, model and scores are as before.

    `summary` is the run's summary, where a run was on.
    """

    exit_code = 3
    summary: dict[str, Any] | None = None


class UnavailableError(ChurnError):
    """A service that is needed does not answer, or another run holds the lake."""

    exit_code = 4


class ServerLostError(UnavailableError):
    """The Spark server went away or hangs while a command worked with it."""

    shakes_server = True


class InterruptedWorkError(ChurnError):
    """Work on the server that broke off, and not for what it was asked to do."""

    shakes_server = True


class DiskFullError(ChurnError):
    """Nothing more can be written; what was complete before stays as it was."""

    shakes_server = True


def named_breakdown(message: str, where: str) -> ChurnError | None:
    """The fault that the message of another one speaks of: a full disk, or what comes of it, or
    a password that is not the server's."""
    if any(words in message for words in DISK_FULL_WORDS):
        return disk_full(where)
    if any(words in message for words in METASTORE_BROKEN_WORDS):
        return InterruptedWorkError(
            "The metastore of the Spark server broke, as it does when the disk is full",
            where=where,
            remedy="make room, then repeat the command: it starts a fresh server",
        )
    if any(words in message for words in PASSWORD_REFUSED_WORDS):
        return UnavailableError(
            "The Spark server refuses the password: it was started with another one",
            where=where,
            remedy="`churn down`, then repeat the command; for a server of another CHURN_HOME set "
            "CHURN_SPARK_PASSWORD to its password",
        )
    # Spark says so too where a row could not be made into what is to be written.
    if SYSTEM_AT_FAULT in message and DATA_AT_FAULT not in message:
        return InterruptedWorkError(
            f"The Spark server could not write or read a file: {_cause(message)}",
            where=where,
            remedy="make room where the disk is full, then repeat the command: it starts a fresh "
            "server",
        )
    return None


def _cause(message: str) -> str:
    """What Java names as the last cause; else the message's first line."""
    first, *others = message.splitlines()
    causes = [each for each in others if each.startswith("Caused by: ")]
    return causes[-1].removeprefix("Caused by: ")[:400] if causes else first


def disk_full(where: str) -> DiskFullError:
    """The fault to raise where the disk is full."""
    return DiskFullError(
        "The disk is full, or a limit on the size of files is reached",
        where=where,
        remedy="make room, then repeat the command: it goes on where it stopped",
    )
