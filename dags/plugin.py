"""Airflow's plugin of this project, named in pyproject.toml: its pages and its links."""

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from dags.links import PREFIX, RunReport


async def pages(scope: Any, receive: Any, send: Any) -> None:
    """The project's pages, imported with the first request.

    Every process of Airflow loads its plugins; only the web server has a use for the pages.
    """
    from dags.web import app

    await app(scope, receive, send)


class ChurnPlugin(AirflowPlugin):
    """The front page and the dbt docs in the menu, the report of a run at its tasks."""

    name = "churn"
    fastapi_apps: ClassVar[list[Any]] = [{"name": "churn", "app": pages, "url_prefix": PREFIX}]
    operator_extra_links: ClassVar[list[Any]] = [RunReport()]
    external_views: ClassVar[list[Any]] = [
        {
            "name": name,
            "href": f"{PREFIX}/{place}",
            "destination": "nav",
            "category": "browse",
            "url_route": name.replace(" ", "-"),
        }
        for name, place in (("churn so far", "index.html"), ("dbt docs", "dbt/index.html"))
    ]
