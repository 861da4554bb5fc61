"""What can be stated of the way a file writes text."""

from dataclasses import dataclass

DECIMAL_SIGNS = (".", ",")
# Where bronze's _extra keeps the text of a cell that bronze has in another spelling.
AS_READ = "{column} as read"


@dataclass(frozen=True)
class SourceFormat:
    """How text is written in the workbooks; None is found out, and refused where it is not certain.

    decimal  the decimal sign of numbers in text cells: "." or ","
    encoding the encoding of a CSV file, by a name that Python knows
    """

    decimal: str | None = None
    encoding: str | None = None

    def or_else(self, other: "SourceFormat") -> "SourceFormat":
        """What this states, and of the rest what the other one does."""
        return SourceFormat(self.decimal or other.decimal, self.encoding or other.encoding)


UNSTATED = SourceFormat()
