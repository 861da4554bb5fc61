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


class AirflowGuard:
    """What every request to Airflow passes: as any local site's, and a login before all plugins.

    Airflow logs its own pages and interfaces in; what a plugin brings, Cosmos' docs among it, is
    served to anybody unless the plugin asks. Made with the first request, as the pages are.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._guard: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._guard is None:
            from dags.airflow_guard import guarded

            self._guard = guarded(self._app)
        await self._guard(scope, receive, send)


class ChurnPlugin(AirflowPlugin):
    """The front page and the dbt docs in the menu, the report of a run at its tasks."""

    name = "churn"
    fastapi_apps: ClassVar[list[Any]] = [{"name": "churn", "app": pages, "url_prefix": PREFIX}]
    fastapi_root_middlewares: ClassVar[list[Any]] = [
        {"name": "guard", "middleware": AirflowGuard, "args": [], "kwargs": {}}
    ]
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
