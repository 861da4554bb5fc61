"""Pages of the project inside Airflow's own site: the dbt docs and the runs' reports.

Served to those who are logged in, as Airflow's own pages are.
"""

from pathlib import Path
from typing import Annotated

from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, FastAPI, HTTPException
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse

from lakehouse.settings import read_settings

RUN_ID = r"^[0-9A-Za-z-]+$"

app = FastAPI(
    title="Telco churn", dependencies=[Depends(get_user)], docs_url=None, openapi_url=None
)


@app.get("/docs/index.html")
def docs() -> FileResponse:
    """The dbt docs site, one page."""
    return _page(read_settings().home / "site" / "index.html", "`churn docs` builds it")


@app.get("/runs/{run_id}/report.html")
def report(run_id: Annotated[str, PathParameter(pattern=RUN_ID)]) -> FileResponse:
    """The report of a run."""
    path = read_settings().home / "runs" / run_id / "report.html"
    return _page(path, "the run has not come to its end yet")


def _page(path: Path, otherwise: str) -> FileResponse:
    if not path.is_file():
        raise HTTPException(404, f"{path.name} is not there: {otherwise}")
    return FileResponse(path, media_type="text/html")
