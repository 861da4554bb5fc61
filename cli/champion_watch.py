"""What the latest extract says of the champion, as data and as lines for people."""

from typing import Any

from lakehouse import spark_server
from lakehouse.errors import GateRefused
from lakehouse.service import Say
from lakehouse.settings import Settings
from trainer.watch import read_rules, watch


def seen(settings: Settings, say: Say) -> dict[str, Any]:
    """Alerts, the worst figure of each kind, and what to do.

    Raises:
        GateRefused: nothing was published yet.
    """
    spark_server.ensure(settings, say)
    with spark_server.session(settings) as spark:
        found = watch(settings, spark, read_rules())
    if found is None:
        raise GateRefused(
            "No extract has been published yet",
            where="gold.publications",
            remedy="load a workbook that passes the gate: `churn run WORKBOOK`",
        )
    return found.shown()


def seen_lines(found: dict[str, Any]) -> list[str]:
    """Lines for people."""
    lines = [f"extract of {found['extract_date']}, champion {found['champion'] or 'none'}"]
    lines += [
        f"{'ALERT ' if each['alert'] else '      '}{each['words']} (alerts from {each['bound']:g})"
        for each in found["worst"]
    ]
    return [*lines, found["proposal"] or "no alert"]
