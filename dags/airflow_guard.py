"""The guard of local sites around Airflow's web server, and a login before every plugin's pages."""

from typing import Any

from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from airflow.plugins_manager import get_fastapi_plugins
from fastapi import HTTPException
from starlette.requests import Request

from churn.reports.site_guard import Refusal, SiteGuard, answer
from lakehouse.settings import read_settings
from serving.middleware import App, Receive, Scope, Send


def guarded(app: App) -> SiteGuard:
    """Airflow's application behind both; it answers to the name that its workers call it by too."""
    prefixes = tuple(each["url_prefix"] for each in get_fastapi_plugins()[0])
    return SiteGuard(PluginLogin(app, prefixes), None, [read_settings().airflow_host])


class PluginLogin:
    """Asks for Airflow's login before anything below the plugins' prefixes."""

    def __init__(self, app: App, prefixes: tuple[str, ...]) -> None:
        self._app = app
        self._prefixes = prefixes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and any(
            path == prefix or path.startswith(f"{prefix}/") for prefix in self._prefixes
        ):
            request: Any = Request(scope)
            try:
                await get_user(request, None, await bearer_scheme(request))
            except HTTPException as fault:
                await answer(Refusal(fault.status_code, str(fault.detail)), scope["method"], send)
                return
        await self._app(scope, receive, send)
