"""Serve the project's pages inside Airflow's own site, with the same paths as in `churn docs`.

They require a login, like Airflow's own pages.
"""

from pathlib import Path
from typing import Annotated

from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, FastAPI, HTTPException
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse

from churn.provenance.run_history import LIST
from churn.reports.front_page import (
    DBT_DOCS,
    EVALUATION,
    campaign_list_of,
    evaluation_of,
    list_of,
    report_of,
)
from lakehouse.command_name import format_commands
from lakehouse.navigation import SITE
from lakehouse.settings import read_settings

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ID = r"^[0-9A-Za-z-]+$"

app = FastAPI(
    title="Telco churn", dependencies=[Depends(get_user)], docs_url=None, openapi_url=None
)


@app.get("/index.html")
def front_page() -> FileResponse:
    """Return the site's front page."""
    return _page(read_settings().home / SITE / "index.html", "the first run writes it")


@app.get(f"/{DBT_DOCS}")
def dbt_docs() -> FileResponse:
    """Return the dbt docs, a single page."""
    return _page(read_settings().home / SITE / DBT_DOCS, "`churn docs` builds it")


@app.get(f"/{report_of('{run_id}')}")
def report(run_id: Annotated[str, PathParameter(pattern=ID)]) -> FileResponse:
    """Return the report of a run."""
    home = read_settings().home
    # The site's copy, of the latest runs only, has the bar of links.
    copy, path = home / SITE / report_of(run_id), home / "runs" / run_id / "report.html"
    return _page(copy if copy.is_file() else path, "the run has not completed yet")


@app.get(f"/{list_of('{run_id}')}")
def retention_list(run_id: Annotated[str, PathParameter(pattern=ID)]) -> FileResponse:
    """Return the list of customers to call of a run."""
    path = read_settings().home / "runs" / run_id / LIST
    return _page(path, "the run has scored no customers", XLSX)


@app.get(f"/{evaluation_of('{version}')}")
def evaluation(version: Annotated[str, PathParameter(pattern=ID)]) -> FileResponse:
    """Return the full evaluation of a model version."""
    home = read_settings().home
    copy, path = home / SITE / evaluation_of(version), home / "models" / version / EVALUATION
    return _page(copy if copy.is_file() else path, "`churn evaluate` makes it")


@app.get(f"/{campaign_list_of('{name}')}")
def campaign_list(name: Annotated[str, PathParameter(pattern=ID)]) -> FileResponse:
    """Return the list of a campaign that was started here."""
    path = read_settings().home / campaign_list_of(name)
    return _page(path, "the campaign was not started here", XLSX)


def _page(path: Path, otherwise: str, media_type: str = "text/html") -> FileResponse:
    if not path.is_file():
        raise HTTPException(404, format_commands(f"{path.name} is not there: {otherwise}"))
    return FileResponse(path, media_type=media_type, headers={"Cache-Control": "no-store"})
