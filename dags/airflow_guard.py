"""Protect Airflow's web server like a local site, and require a login for the plugins' pages."""

from typing import Any

from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from airflow.plugins_manager import get_fastapi_plugins
from fastapi import HTTPException
from starlette.requests import Request

from churn.reports.site_guard import RefusedRequestError, SiteGuard, answer
from lakehouse.settings import read_settings
from serving.middleware import App, Receive, Scope, Send


def guard_site(app: App) -> SiteGuard:
    """Wrap Airflow's application; the host name that its workers use is permitted too."""
    prefixes = tuple(each["url_prefix"] for each in get_fastapi_plugins()[0])
    return SiteGuard(PluginLogin(app, prefixes), None, [read_settings().airflow_host])


class PluginLogin:
    """ASGI middleware that requires Airflow's login for all paths below the plugins' prefixes."""

    def __init__(self, app: App, prefixes: tuple[str, ...]) -> None:
        """Wrap an application.

        Args:
            app: Airflow's application.
            prefixes: The path prefixes of the plugins.
        """
        self._app = app
        self._prefixes = prefixes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward an ASGI connection, after checking the login if it is for a plugin."""
        path = scope.get("path", "")
        if scope["type"] == "http" and any(
            path == prefix or path.startswith(f"{prefix}/") for prefix in self._prefixes
        ):
            request: Any = Request(scope)
            try:
                await get_user(request, None, await bearer_scheme(request))
            except HTTPException as error:
                await answer(
                    RefusedRequestError(error.status_code, str(error.detail)), scope["method"], send
                )
                return
        await self._app(scope, receive, send)
