"""Serve Feast's own site on the feature store: entity, view, service, and their dependencies.

Feast's server includes the whole REST interface of the registry, with endpoints that delete,
write, export data and compute statistics. Only the endpoints with which the pages read
declarations are served here.
"""

import logging
import warnings
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Mount

from churn.operations.feast_pages import adapted_routes, serve_missing
from churn.reports.site_guard import SiteGuard, log_login, serve, site_password
from feature_repo.feature_store import open_store
from lakehouse import sites
from lakehouse.process import Log
from lakehouse.settings import Settings

REGISTRY = "/api/v1"
# The registry's endpoints for declarations. All others, also those of later versions, are removed.
DECLARATIONS = frozenset(
    (
        *("/projects", "/projects/{name}", "/entities", "/entities/all", "/entities/{name}"),
        *("/data_sources", "/data_sources/all", "/data_sources/{name}"),
        *("/feature_views", "/feature_views/all", "/feature_views/{name}"),
        *("/feature_services", "/feature_services/all", "/feature_services/{name}"),
        *("/features", "/features/all", "/features/{feature_view}/{name}"),
        *("/lineage/registry", "/lineage/registry/all", "/lineage/complete"),
        *("/lineage/complete/all", "/lineage/objects/{object_type}/{object_name}"),
        *("/search", "/metrics/resource_counts", "/metrics/popular_tags"),
        *("/permissions", "/saved_datasets", "/saved_datasets/all", "/label_views"),
        *("/label_views/all", "/labels", "/labels/all", "/compute_engines"),
    )
)


def serve_feast_ui(settings: Settings, log: Log) -> None:
    """Serve the site on loopback until interrupted.

    Raises:
        lakehouse.errors.UnavailableError: The port is in use.
    """
    guarded = SiteGuard(application(settings, log), site_password(settings), read_only=True)
    log_login(settings, log)
    serve(guarded, settings, sites.FEAST, log)


def application(settings: Settings, log: Log) -> FastAPI:
    """Return Feast's application, without endpoints that do not read declarations."""
    import feast
    from feast.ui_server import get_app

    feature_store = open_store(settings, log)
    hide_dummy_entity(feature_store.registry)
    with warnings.catch_warnings():
        # Feast warns developers that its server is experimental.
        warnings.simplefilter("ignore")
        app: FastAPI = get_app(feature_store, feature_store.config.project)
    for mount in app.routes:
        if isinstance(mount, Mount) and mount.path == REGISTRY:
            registry: Any = mount.app
            registry.router.routes[:] = [route for route in registry.routes if _is_read(route)]
    # The pages that describe the interface load their scripts from other hosts.
    described = {app.docs_url, app.redoc_url, app.openapi_url, app.swagger_ui_oauth2_redirect_url}
    app.router.routes[:] = [
        route for route in app.routes if getattr(route, "path", None) not in described
    ]
    build = Path(feast.__file__).parent / "ui" / "build"
    app.router.routes[:0] = adapted_routes(build, settings)
    serve_missing(app, settings)
    logging.getLogger("feast").setLevel(logging.ERROR)
    return app


def hide_dummy_entity(registry: Any) -> None:
    """Make a registry list declared entities alone, without Feast's own for views without one."""
    from feast.feature_view import DUMMY_ENTITY_NAME

    list_all = registry.list_entities

    def list_entities(*arguments: Any, **options: Any) -> list[Any]:
        entities = list_all(*arguments, **options)
        return [each for each in entities if each.name != DUMMY_ENTITY_NAME]

    registry.list_entities = list_entities


def _is_read(route: Any) -> bool:
    return (
        isinstance(route, APIRoute)
        and (route.methods or set()) <= {"GET"}
        and route.path in DECLARATIONS
    )
