"""Compare the latest extract with the champion, and format the result."""

from typing import Any

from feature_repo.publications import not_published_error
from lakehouse import spark_server, spark_session
from lakehouse.process import Log
from lakehouse.settings import Settings
from trainer.monitoring import monitor, read_rules


def check_champion(settings: Settings, log: Log) -> dict[str, Any]:
    """Return alerts, the worst value of each metric kind, and the proposed action.

    Raises:
        InvalidInputError: Nothing was published yet.
    """
    spark_server.ensure_running(settings, log)
    with spark_session.session(settings) as spark:
        result = monitor(settings, spark, read_rules())
    if result is None:
        raise not_published_error()
    return result.to_json()


def format_check(result: dict[str, Any]) -> list[str]:
    """Format the result of `check_champion` as lines of text."""
    lines = [f"extract of {result['extract_date']}, champion {result['champion'] or 'none'}"]
    lines += [
        f"{'ALERT ' if metric['alert'] else '      '}{metric['words']}"
        + ("" if metric["bound"] is None else f" (alerts from {metric['bound']:g})")
        for metric in result["worst"]
    ]
    if not result["worst"]:
        lines.append("nothing to compare it with yet: the next extract provides that")
    return [*lines, result["proposal"] or "no alert"]
