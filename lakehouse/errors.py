"""Errors of the project, each with the exit code of the command that raises it.

Every message states what is wrong, where, and what to do about it.
"""

from typing import Any

from lakehouse.command_name import format_commands

# Messages of operating systems, Java and dbt if a disk, a quota or a file size limit is reached.
DISK_FULL_MESSAGES = ("No space left on device", "File too large", "Disk quota exceeded")
# Messages of the Spark server's two endpoints if a password is missing or wrong.
PASSWORD_REFUSED_MESSAGES = (
    "No authentication token provided",
    "Invalid authentication token",
    "Error validating the login",
)
# Derby, the metastore's database, fails permanently if it cannot write, with various messages.
METASTORE_BROKEN_MESSAGES = (
    "Failed to start database",
    "HIVE_METASTORE",
    "org.apache.derby",
    "read-only database",
)
# Java tries to load a library only once: it fails until the end of the process if the disk was full
# when the library was unpacked.
LIBRARY_BROKEN_MESSAGES = (
    "java.lang.UnsatisfiedLinkError",
    "java.lang.NoClassDefFoundError",
    "java.lang.ExceptionInInitializerError",
)
# SQLSTATE classes: an error of the system below Spark, and an error in the data.
SYSTEM_ERROR, DATA_ERROR = "SQLSTATE: 58", "SQLSTATE: 22"


class ChurnError(Exception):
    """An error with a location and a hint.

    Attributes:
        exit_code: Exit code of a command that fails with this error.
        requires_server_restart: Whether the Spark server may be damaged, or may still execute
            statements of the failed command. The next writer then starts a fresh server.
    """

    exit_code = 1
    requires_server_restart = False

    def __init__(self, message: str, *, where: str, hint: str) -> None:
        """Create the error.

        Args:
            message: What is wrong.
            where: The file, address or setting concerned.
            hint: What to do about it.
        """
        super().__init__(message)
        self.message = format_commands(message)
        self.where = format_commands(where)
        self.hint = format_commands(hint)

    def __str__(self) -> str:
        """Return the three parts of the message, one per line."""
        return f"{self.message}\n  where: {self.where}\n  what to do: {self.hint}"


class InvalidInputError(ChurnError):
    """The request or the workbook is invalid; nothing was written."""

    exit_code = 2


class GateRefusedError(ChurnError):
    """The gate refused a load; gold, the online store, the champion and the scores are unchanged.

    `summary` is the summary of the run, or None if the error was not raised within a run.
    """

    exit_code = 3
    summary: dict[str, Any] | None = None


class UnavailableError(ChurnError):
    """A required service does not respond, or another run holds the lock on the lake."""

    exit_code = 4


class ServerLostError(UnavailableError):
    """The Spark server ended or stopped responding while a command was using it."""

    requires_server_restart = True


class InterruptedWorkError(ChurnError):
    """Work on the server was interrupted for a reason other than the request itself."""

    requires_server_restart = True


class DiskFullError(ChurnError):
    """The disk is full; data that was complete before is unchanged."""

    requires_server_restart = True


def classify_error(message: str, where: str) -> ChurnError | None:
    """Return the error that the message of another error indicates, or None if it indicates none.

    Recognizes a full disk and its consequences, and a rejected Spark server password.
    """
    if any(words in message for words in DISK_FULL_MESSAGES):
        return disk_full_error(where)
    if any(words in message for words in METASTORE_BROKEN_MESSAGES):
        return InterruptedWorkError(
            "The metastore of the Spark server failed, most likely because the disk was full",
            where=where,
            hint="make room, then repeat the command: it starts a fresh server",
        )
    if any(words in message for words in PASSWORD_REFUSED_MESSAGES):
        return UnavailableError(
            "The Spark server refuses the password: it was started with a different one",
            where=where,
            hint="call `churn down`, then repeat the command; for a server of another CHURN_HOME, "
            "set CHURN_SPARK_PASSWORD to its password",
        )
    # Spark also reports this class if a row could not be converted to the type to be written.
    is_library_broken = any(words in message for words in LIBRARY_BROKEN_MESSAGES)
    if is_library_broken or (SYSTEM_ERROR in message and DATA_ERROR not in message):
        return InterruptedWorkError(
            f"The Spark server could not write or read a file: {_cause(message)}",
            where=where,
            hint="make room if the disk is full, then repeat the command: it starts a fresh server",
        )
    return None


def _cause(message: str) -> str:
    """Return the last cause that Java names, or the first line of the message."""
    first, *others = message.splitlines()
    causes = [line for line in others if line.startswith("Caused by: ")]
    return causes[-1].removeprefix("Caused by: ")[:400] if causes else first


def disk_full_error(where: str) -> DiskFullError:
    """Return the error for a full disk."""
    return DiskFullError(
        "The disk is full, or a limit on the size of files is reached",
        where=where,
        hint="make room, then repeat the command, which continues where it stopped",
    )
