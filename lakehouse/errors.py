"""What can go wrong, by the exit code it ends with.

Every message to a person says what is wrong, where, and what to do about it.
"""

from typing import Any


class ChurnError(Exception):
    """A fault with a place and a remedy; `exit_code` is what the command ends with."""

    exit_code = 1

    def __init__(self, what: str, *, where: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}\n  where: {self.where}\n  what to do: {self.remedy}"


class Unusable(ChurnError):
    """The request or the workbook can't be used; nothing was written."""

    exit_code = 2


class GateRefused(ChurnError):
    """The gate refused a load; gold, Redis, model and scores are as before.

    `summary` is the run's summary, where a run was on.
    """

    exit_code = 3
    summary: dict[str, Any] | None = None


class Unavailable(ChurnError):
    """A service that is needed does not answer, or another run holds the lake."""

    exit_code = 4
