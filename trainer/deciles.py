"""Where the deciles of the scored customers begin and end: what places one more probability.

The scoring step leaves `deciles.json` beside the record of the version that it scored with.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from lakehouse.atomic_write import atomic_write

FILE = "deciles.json"
LOWEST, HIGHEST = 1, 10
# Spark and Python may differ in a probability's last bits, some 1e-16. Customers who are closer
# than this are taken for equal, and go by their ids as those of one probability do.
EQUAL = 1e-12


@dataclass(frozen=True)
class Last:
    """The last customer of a decile, in the order of probability and id."""

    decile: int
    probability: float
    customer_id: str


@dataclass(frozen=True)
class Deciles:
    """Of which load they are, and the last customer of each decile, the lowest decile first."""

    extract_date: str
    batch_id: str
    customers: int
    lasts: tuple[Last, ...]

    def decile(self, probability: float, customer_id: str) -> int:
        """1 to 10 (the highest risk): where the customer would stand among those scored."""
        for last in self.lasts[:-1]:
            distance = probability - last.probability
            after = customer_id > last.customer_id if abs(distance) <= EQUAL else distance > 0
            if not after:
                return last.decile
        return self.lasts[-1].decile


def read(folder: Path) -> Deciles | None:
    """The deciles of the version whose folder this is; None where they are not there, or damaged.

    Not there until the version was scored with.
    """
    try:
        stored = json.loads((folder / FILE).read_text())
        lasts = tuple(
            Last(int(each["decile"]), float(each["probability"]), str(each["customer_id"]))
            for each in stored.pop("lasts")
        )
        return Deciles(**stored, lasts=lasts) if lasts else None
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write(folder: Path, deciles: Deciles) -> None:
    """Leave the deciles beside the version's record, whole."""
    with atomic_write(folder / FILE) as draft:
        draft.write_text(json.dumps(asdict(deciles), indent=1))
