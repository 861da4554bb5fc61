"""What was decided about a version: whether it took over, why, and who said so.

Beside the version's record. Read by pages and commands that need neither Spark nor Feast; how it is
decided: `trainer.promotion`.
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
    """Whether the version took over from `champion` (None: there was none), and why.

    `waits`: only a person can promote it. `decided` is when that was (UTC), `user` the person who
    promoted it by hand; both are empty in decisions of before.
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
    """Leave the decision beside the version's record."""
    with atomic_write(folder / FILE) as draft:
        draft.write_text(json.dumps(asdict(decision), indent=1))


def read(folder: Path) -> Decision | None:
    """The decision beside the version's record; None where there is none, or a damaged one."""
    try:
        return Decision(**json.loads((folder / FILE).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def waiting(settings: Settings) -> Decision | None:
    """The latest decision, where it is that a person has to decide; None where none waits."""
    found = [read(registry.folder(settings) / each) for each in registry.versions(settings)]
    latest = max((each for each in found if each), key=lambda each: each.decided, default=None)
    if latest is None or not latest.waits or latest.champion != registry.champion_version(settings):
        return None
    return latest


def now() -> str:
    """The time, as a decision and a change of the champion have it."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
