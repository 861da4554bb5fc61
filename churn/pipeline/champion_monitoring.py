"""What the latest extract says of the champion, as data and as lines for people."""

from typing import Any

from feature_repo.publications import nothing_published
from lakehouse import spark_server
from lakehouse.process import Say
from lakehouse.settings import Settings
from trainer.monitoring import read_rules, watch


def seen(settings: Settings, say: Say) -> dict[str, Any]:
    """Alerts, the worst figure of each kind, and what to do.

    Raises:
        Unusable: nothing was published yet.
    """
    spark_server.ensure(settings, say)
    with spark_server.session(settings) as spark:
        found = watch(settings, spark, read_rules())
    if found is None:
        raise nothing_published()
    return found.shown()


def seen_lines(found: dict[str, Any]) -> list[str]:
    """Lines for people."""
    lines = [f"extract of {found['extract_date']}, champion {found['champion'] or 'none'}"]
    lines += [
        f"{'ALERT ' if each['alert'] else '      '}{each['words']}"
        + ("" if each["bound"] is None else f" (alerts from {each['bound']:g})")
        for each in found["worst"]
    ]
    if not found["worst"]:
        lines.append("nothing to hold it against yet: the next extract gives that")
    return [*lines, found["proposal"] or "no alert"]
