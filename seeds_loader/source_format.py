"""Define what can be stated about how a file writes text."""

from dataclasses import dataclass

DECIMAL_SIGNS = (".", ",")
# Name in bronze's _extra of the original text of a cell that bronze writes differently.
AS_READ = "{column} as read"


@dataclass(frozen=True)
class SourceFormat:
    """How workbooks write text; None is detected, and refused if that is not certain.

    Attributes:
        decimal: The decimal sign of numbers in text cells: "." or ",".
        encoding: The encoding of a CSV file, by a name that Python knows.
    """

    decimal: str | None = None
    encoding: str | None = None

    def or_else(self, other: "SourceFormat") -> "SourceFormat":
        """Return this format, with the values that it leaves open from the other one."""
        return SourceFormat(self.decimal or other.decimal, self.encoding or other.encoding)


UNSTATED = SourceFormat()
