"""Compare the latest extract with the champion, and format the result."""

from typing import Any

from feature_repo.publications import not_published_error
from lakehouse import spark_server
from lakehouse.process import Say
from lakehouse.settings import Settings
from trainer.monitoring import monitor, read_rules


def check_champion(settings: Settings, say: Say) -> dict[str, Any]:
    """Return alerts, the worst value of each metric kind, and the proposed action.

    Raises:
        InvalidInputError: Nothing was published yet.
    """
    spark_server.ensure(settings, say)
    with spark_server.session(settings) as spark:
        found = monitor(settings, spark, read_rules())
    if found is None:
        raise not_published_error()
    return found.shown()


def format_check(found: dict[str, Any]) -> list[str]:
    """Format the result of `check_champion` as lines of text."""
    lines = [f"extract of {found['extract_date']}, champion {found['champion'] or 'none'}"]
    lines += [
        f"{'ALERT ' if each['alert'] else '      '}{each['words']}"
        + ("" if each["bound"] is None else f" (alerts from {each['bound']:g})")
        for each in found["worst"]
    ]
    if not found["worst"]:
        lines.append("nothing to hold it against yet: the next extract gives that")
    return [*lines, found["proposal"] or "no alert"]
