"""Store the boundaries of the scored customers' deciles, which classify one more probability.

The scoring step writes `deciles.json` beside the record of the version that it scored with.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from lakehouse.atomic_write import atomic_write

FILE = "deciles.json"
LOWEST, HIGHEST = 1, 10
# Spark and Python may differ in the last bits of a probability, by about 1e-16. Customers who are
# closer than this are treated as equal and ordered by id, like customers of the same probability.
TOLERANCE = 1e-12


@dataclass(frozen=True)
class Boundary:
    """The last customer of a decile, in the order of probability and id."""

    decile: int
    probability: float
    customer_id: str


@dataclass(frozen=True)
class Deciles:
    """The load that was scored, and the last customer of each decile, the lowest decile first."""

    extract_date: str
    batch_id: str
    customers: int
    boundaries: tuple[Boundary, ...]

    def decile(self, probability: float, customer_id: str) -> int:
        """Return the decile, from 1 to 10 (the highest risk), of a probability.

        It is the decile that the customer would have among those scored.
        """
        for boundary in self.boundaries[:-1]:
            distance = probability - boundary.probability
            after = (
                customer_id > boundary.customer_id if abs(distance) <= TOLERANCE else distance > 0
            )
            if not after:
                return boundary.decile
        return self.boundaries[-1].decile


def format_group(decile: int) -> str:
    """Return a decile in words, for people."""
    return f"risk group {decile} of {HIGHEST}; {HIGHEST} is the highest"


def read(folder: Path) -> Deciles | None:
    """Return the deciles in a version's folder, or None if they are missing or damaged.

    They are missing until the version has been used for scoring.
    """
    try:
        stored = msgspec.json.decode((folder / FILE).read_bytes(), type=Deciles)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return stored if stored.boundaries else None


def write(folder: Path, deciles: Deciles) -> None:
    """Write the deciles atomically, beside the version's record."""
    with atomic_write(folder / FILE) as draft:
        draft.write_text(json.dumps(asdict(deciles), indent=1))
