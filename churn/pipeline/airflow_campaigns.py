"""Run the steps of a retention campaign as Airflow tasks: the same ones as `churn campaign`."""

from datetime import date
from pathlib import Path
from typing import Any

from churn.pipeline import campaigns
from churn.pipeline.campaigns import AlreadyRecordedError, Request
from churn.reports.front_page import campaign_list_of
from lakehouse.progress import Steps
from lakehouse.settings import Settings


def start_campaign(settings: Settings, parameters: dict[str, Any]) -> dict[str, str]:
    """Start the campaign and write its list to `campaign_list_of`.

    Args:
        settings: The settings of this CHURN_HOME.
        parameters: The DAG run's parameters: campaign, top, budget and control.

    Returns:
        The campaign's extract date, and a message about it.
    """
    name, budget = parameters["campaign"], parameters["budget"]
    top = None if budget else parameters["top"]
    path = settings.home / campaign_list_of(name)
    path.parent.mkdir(exist_ok=True)
    request = Request(name, top, budget, parameters["control"] / 100)
    started = campaigns.start(settings, request, path, Steps(2))
    return {"extract_date": started.selected.extract_date.isoformat(), "message": started.format()}


def record_outcomes(settings: Settings, name: str, file: str | None) -> dict[str, str]:
    """Record a file of outcomes; the same file again changes nothing.

    Args:
        settings: The settings of this CHURN_HOME.
        name: The campaign.
        file: Path of the file; by default the list that `start_campaign` wrote.
    """
    path = Path(file) if file else settings.home / campaign_list_of(name)
    try:
        return {"message": campaigns.record(settings, name, path, Steps(2))}
    except AlreadyRecordedError as recorded:
        # A try that was interrupted had recorded it.
        return {"message": recorded.message}


def is_later_extract_published(settings: Settings, day: str) -> bool:
    """Return whether gold has an extract after that day; this needs no Spark server.

    Args:
        settings: The settings of this CHURN_HOME.
        day: The campaign's extract date in ISO format.
    """
    partitions = settings.lake.list_folders("gold", "churn_labels")
    dates = [date.fromisoformat(each.base_name.partition("=")[2]) for each in partitions]
    return any(each > date.fromisoformat(day) for each in dates)


def close_campaign(settings: Settings, name: str) -> dict[str, list[str]]:
    """Close the campaign and return its results as lines of text."""
    results = campaigns.close(settings, name, Steps(2))
    print("\n".join(results))
    return {"results": results}
