"""Store the decision on a version: whether it became champion, why, and by which user.

The decision is stored beside the version's record. It is read by pages and commands that need
neither Spark nor Feast. `trainer.promotion` makes the decision.
"""

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lakehouse.atomic_write import atomic_write
from lakehouse.settings import Settings
from trainer import registry

FILE = "promotion.json"


@dataclass(frozen=True)
class Decision:
    """Whether a version replaced the champion, and why.

    Attributes:
        version: The version.
        champion: The champion at that time; None if there was none.
        promoted: Whether the version replaced the champion.
        reason: The reason.
        comparison: Metrics of the comparison with the champion.
        waits: Whether the version can be promoted only by hand.
        decided: Time of the decision (UTC); empty in decisions from before it was recorded.
        user: User who promoted the version by hand; empty in decisions from before it was recorded.
    """

    version: str
    champion: str | None
    promoted: bool
    reason: str
    comparison: dict[str, Any] = field(default_factory=dict)
    waits: bool = False
    decided: str = ""
    user: str = ""


def write(folder: Path, decision: Decision) -> None:
    """Write the decision beside the version's record."""
    with atomic_write(folder / FILE) as draft:
        draft.write_text(json.dumps(asdict(decision), indent=1))


def read(folder: Path) -> Decision | None:
    """Return the decision beside the version's record, or None if it is missing or damaged."""
    try:
        return Decision(**json.loads((folder / FILE).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def find_waiting(settings: Settings) -> Decision | None:
    """Return the latest decision if it waits for a promotion by hand, else None.

    A decision stops waiting when the champion has changed.
    """
    stored = [read(registry.folder(settings) / version) for version in registry.versions(settings)]
    latest = max(
        (decision for decision in stored if decision),
        key=lambda decision: decision.decided,
        default=None,
    )
    if latest is None or not latest.waits or latest.champion != registry.champion_version(settings):
        return None
    return latest


def timestamp() -> str:
    """Return the time in the format of a decision and of a change of the champion."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
