"""Define this project's Airflow plugin, which pyproject.toml registers: pages and links."""

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from dags.tasks import PREFIX, RunReport


async def pages(scope: Any, receive: Any, send: Any) -> None:
    """Serve the project's pages, which are imported with the first request.

    Every process of Airflow loads its plugins; only the web server uses the pages.
    """
    from dags.web import app

    await app(scope, receive, send)


class AirflowGuard:
    """ASGI middleware that guards Airflow like a local site and requires a login for all plugins.

    Airflow requires a login for its own pages and interfaces. Pages of a plugin, including Cosmos'
    docs, are public unless the plugin itself requires one. The guard is created with the first
    request, like the pages.
    """

    def __init__(self, app: Any) -> None:
        """Wrap Airflow's application.

        Args:
            app: The application.
        """
        self._app = app
        self._guard: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle an ASGI connection; create the guard first if there is none."""
        if self._guard is None:
            from dags.airflow_guard import guard_site

            self._guard = guard_site(self._app)
        await self._guard(scope, receive, send)


class ChurnPlugin(AirflowPlugin):
    """Plugin with the front page and the dbt docs in the menu, and a report link at tasks."""

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
