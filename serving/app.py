"""Build the application: its routes, and the errors for requests that it can't answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, cast

import msgspec
from fastapi import Body, FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from google.protobuf.message import DecodeError
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response

from feature_repo.feature_definitions import TTL
from feature_repo.online.redis_layout import OnlineRow, read_row
from lakehouse import sites
from lakehouse.command_name import rename_commands
from lakehouse.domain import read_domain
from lakehouse.key_store import Keys
from lakehouse.metrics_file import MEDIA_TYPE as METRICS_TYPE
from lakehouse.metrics_file import read_metrics
from lakehouse.navigation import format_site_navigation
from lakehouse.sample_home import NOTE, command_of, is_sample
from lakehouse.settings import Settings
from serving import docs_page, errors, keys, samples, schemas, what_if
from serving.derived_features import Value
from serving.errors import ProblemError
from serving.metrics import Metrics
from serving.middleware import RequestGuard, unexpected_error
from serving.models import Model, Models
from serving.online import AT_ONCE, Hash, OnlineStore
from serving.rate_limit import Limits
from serving.schemas import MOST_CUSTOMERS

Clock = Callable[[], datetime]
CustomerId = Annotated[schemas.CustomerId, Path(description="The customer's id in the workbook")]

DESCRIPTION = """
Which customers are about to leave, and why. Answers are computed from the online features by the
model that scored the published extract. Each request below /v1 requires an API key in the header
X-API-Key; the command `churn api-key new NAME` makes one. Errors are application/problem+json: what
is wrong, where, and what to do.
"""
CUSTOMERS, OPERATION = "Customers", "Operation"
TAGS = [
    {"name": CUSTOMERS, "description": "Scores and reasons; each request requires an API key"},
    {"name": OPERATION, "description": "Health and metrics of the service; no key is required"},
]


class Service:
    """The state that the routes use: one online store, one model at a time."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Create the service; `clock` returns the current time, to compute the age of features."""
        self.settings = settings
        self.keys = Keys(keys.folder(settings))
        self.models = Models(settings)
        self.online = OnlineStore(settings)
        self.metrics = Metrics()
        # A full bucket contains two whole batches.
        self.limits = Limits(settings.api_rate, 2 * MOST_CUSTOMERS)
        self.contract = what_if.read_contract()
        self._clock = clock

    async def score(self, customer_id: str) -> schemas.Score:
        """Return one customer's risk.

        Raises:
            ProblemError: The customer is unknown or expired, there is no model, or the online store
                is down or does not have the features of the model.
        """
        model = self.models.champion_or_error()
        row = await self._row(customer_id, model.scorer.features)
        return {
            **self._describe_customer(customer_id, row),
            **_risk(model, customer_id, _complete(row)),
            "model_version": model.version,
        }

    async def batch(self, ids: Sequence[str]) -> schemas.BatchScores:
        """Return the risk of many customers, by one model, in the order of `ids`.

        Raises:
            ProblemError: There is no model, or the online store is down or does not have the
                features of the model.
        """
        model = self.models.champion_or_error()
        answers: list[schemas.Found | schemas.NotFound] = []
        for start in range(0, len(ids), AT_ONCE):
            part = ids[start : start + AT_ONCE]
            stored = await self.online.customers(part)
            rows = await self._read(stored, model.scorer.features)
            answers += [self._answer(model, *each) for each in zip(part, rows, strict=True)]
            # Other requests are answered in between, because a thousand customers take a while.
            await asyncio.sleep(0)
        return {"model_version": model.version, "customers": answers}

    async def answer_what_if(self, customer_id: str, changes: what_if.Changes) -> schemas.WhatIf:
        """Return one customer's risk as it is, and with other source values.

        Raises:
            ProblemError: As in `score`; or the changes do not apply to the customer.
        """
        model = self.models.champion_or_error()
        row = await self._row(
            customer_id, (*model.scorer.features, *self.contract.required_features)
        )
        features = _complete(row)
        after = what_if.apply_changes(features, changes, self.contract)
        return {
            **self._describe_customer(customer_id, row),
            "changes": dict(changes),
            "before": _risk(model, customer_id, features),
            "after": _risk(model, customer_id, after),
            "model_version": model.version,
        }

    async def ready(self) -> schemas.Health:
        """Return the health status if a customer could be scored now.

        Raises:
            ProblemError: The store is down, empty, or without features of the model; or there is no
                model.
        """
        # First of all, so that a store that is down is reported even if there is no first model
        # yet.
        keys, marker = await self.online.state()
        model = self.models.champion_or_error()
        if not keys:
            raise errors.empty_store()
        # While an extract is being materialized there is no marker, and customers are still scored.
        if marker is not None:
            there = _parse_marker(marker)
            missing = [name for name in model.scorer.features if name not in there]
            if missing:
                raise errors.features_missing(", ".join(missing))
        return {"status": "ok", "model_version": model.version}

    def format_metrics(self, key: bytes) -> bytes:
        """Return the metrics of the requests and, for a valid key, those of the last run.

        The latter are numbers of the customer base, the former are not.
        """
        model = self.models.current()
        text = self.metrics.format_text(model.version if model else None)
        if key and self.keys.owner(key) is not None:
            text += read_metrics(self.settings)
        return text

    def _answer(
        self, model: Model, customer_id: str, row: OnlineRow | None
    ) -> schemas.Found | schemas.NotFound:
        if row is None:
            self.metrics.customer("unknown")
            return {"customer_id": customer_id, "found": False, "why": "unknown"}
        if self._is_expired(row):
            self.metrics.customer("expired")
            return {"customer_id": customer_id, "found": False, "why": "expired"}
        features = _complete(row)
        self.metrics.customer("found")
        return {
            **self._describe_customer(customer_id, row),
            "found": True,
            **_risk(model, customer_id, features),
        }

    async def _row(self, customer_id: str, names: Sequence[str]) -> OnlineRow:
        (row,) = await self._read([await self.online.customer(customer_id)], names)
        if row is None:
            self.metrics.customer("unknown")
            raise errors.unknown_customer(customer_id)
        if self._is_expired(row):
            self.metrics.customer("expired")
            raise errors.expired_customer(customer_id, f"{row.event_timestamp:%Y-%m-%d}", TTL.days)
        self.metrics.customer("found")
        return row

    async def _read(self, stored: Sequence[Hash], names: Sequence[str]) -> list[OnlineRow | None]:
        as_of = await self.online.as_of()
        try:
            return [read_row(names, each, as_of) for each in stored]
        except (DecodeError, TypeError) as error:
            raise errors.features_missing("a value is no number of Feast's") from error

    def _is_expired(self, row: OnlineRow) -> bool:
        return self._clock() - row.event_timestamp > TTL

    def _describe_customer(self, customer_id: str, row: OnlineRow) -> schemas.Known:
        return {
            "customer_id": customer_id,
            "event_timestamp": f"{row.event_timestamp:%Y-%m-%dT%H:%M:%SZ}",
            "age_days": (self._clock() - row.event_timestamp).days,
        }


def _parse_marker(marker: bytes) -> set[str]:
    """Return the features that are online according to the marker."""
    try:
        return set(json.loads(marker)["features"])
    except (ValueError, KeyError, TypeError) as error:
        raise errors.features_missing("the marker is damaged") from error


def _complete(row: OnlineRow) -> Mapping[str, Value]:
    """Return the features; raise ProblemError if one is missing: the score would be wrong."""
    missing = [name for name, value in row.features.items() if value is None]
    if missing:
        raise errors.features_missing(", ".join(missing))
    return cast("Mapping[str, Value]", row.features)


def _risk(model: Model, customer_id: str, features: Mapping[str, Value]) -> schemas.Risk:
    try:
        answer, outlook = model.scorer.answer(features), model.time.describe(features)
    except (ValueError, ArithmeticError) as error:
        raise errors.features_missing("a value is out of all bounds") from error
    return {
        "probability": answer.probability,
        "decile": model.deciles.decile(answer.probability, customer_id),
        "reasons": [
            schemas.describe_reason(each.feature, each.text, each.contribution)
            for each in answer.reasons
        ],
        **outlook,
    }


def current_time() -> datetime:
    """Return the current time, in UTC."""
    return datetime.now(UTC)


def application(settings: Settings, clock: Clock = current_time) -> RequestGuard:
    """Return the application wrapped in its request guard.

    It reads models and keys, and connects to the online store, only when a request needs them. The
    routes use the application's `state.service`.
    """
    service = Service(settings, clock)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.models.alias.start()
        yield
        service.models.alias.stop()
        await service.online.close()

    app = FastAPI(
        title="Telco churn",
        version="1",
        description=rename_commands(DESCRIPTION, command_of(settings)),
        openapi_tags=TAGS,
        # The built-in pages load their scripts from other hosts; `docs_page.page` from this one.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.service = service
    _add_routes(app, service)
    _add_plain_routes(app, service)
    _add_docs_routes(app, service)
    app.exception_handler(HTTPException)(_http_problem)
    app.exception_handler(RequestValidationError)(_validation_problem)
    # The request guard, which gets the exception next, logs it.
    app.exception_handler(Exception)(lambda *_: unexpected_error().response())
    _describe_key(app)
    return RequestGuard(app, service.keys, service.limits, service.metrics)


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _faults(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the API description of errors; any request below /v1 may also get 401 and 429."""
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    words = {
        400: "The body is not JSON",
        401: "The API key is missing or invalid",
        404: "The customer is unknown, or the customer's data is too old",
        408: "The body did not arrive in time",
        409: "The change does not apply to this customer",
        413: "The body is too big",
        415: "The header Content-Type does not declare JSON",
        422: "The request does not match this description",
        429: "Too many customers or connections; the header Retry-After names the seconds to wait",
        503: "The online store does not respond, or there is no model that fits it",
    }
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        content: dict[str, Any] = {"schema": schema}
        if status in samples.ERRORS:
            content["example"] = samples.ERRORS[status]
        found[status] = {"description": words[status], "content": {errors.MEDIA_TYPE: content}}
    return found


def _answer(model: Any, sample: Any, meaning: str) -> dict[int | str, dict[str, Any]]:
    """Return the API description of a successful answer, with a sample."""
    content = {"application/json": {"example": sample}}
    return {200: {"model": model, "description": meaning, "content": content}}


def _add_routes(app: FastAPI, service: Service) -> None:  # long: the routes, one after another
    changes_type: Any = what_if.changes_type(service.contract)
    report = read_domain().report
    port, example = service.settings.api_port, report.example_id

    @app.get(
        "/v1/customers/{customer_id}/churn",
        tags=[CUSTOMERS],
        summary="Score one customer",
        description="Returns how likely the customer is to leave, and the reasons.\n\n"
        + docs_page.format_curl(port, "GET", f"/v1/customers/{example}/churn"),
        response_model=None,
        responses={
            **_answer(schemas.Score, samples.SCORE, "The customer's risk"),
            **_faults(401, 404, 422, 429, 503),
        },
    )
    async def churn(customer_id: CustomerId) -> Response:
        return _json(await service.score(customer_id))

    @app.post(
        "/v1/churn:batch",
        tags=[CUSTOMERS],
        summary="Score up to 1,000 customers",
        description="Returns the risk of each customer, in the order of the request, by one model."
        " A customer without a score is part of the answer.\n\n"
        + docs_page.format_curl(port, "POST", "/v1/churn:batch", samples.BATCH),
        response_model=None,
        responses={
            **_answer(schemas.BatchScores, samples.BATCH_SCORES, "The risk of each customer"),
            **_faults(400, 401, 408, 413, 415, 422, 429, 503),
        },
    )
    async def batch(request: Request, body: Annotated[schemas.Batch, Body()]) -> Response:
        ids = body["customer_ids"]
        # The request guard has already charged for one customer.
        wait = service.limits.take(request.scope["churn.key"], len(ids) - 1)
        if wait:
            raise errors.too_many(wait)
        return _json(await service.batch(ids))

    @app.post(
        "/v1/customers/{customer_id}/churn:what-if",
        tags=[CUSTOMERS],
        # Clients that were generated from the API's description call it by this name.
        operation_id="changed_v1_customers__customer_id__churn_what_if_post",
        summary="Score one customer with changed values",
        description="Returns the customer's risk as it is, and as it would be with other values in "
        "the workbook. All fields of the request are optional; at least one is required.\n\n"
        + docs_page.format_curl(
            port, "POST", f"/v1/customers/{example}/churn:what-if", report.what_if_example
        ),
        response_model=None,
        responses={
            **_answer(schemas.WhatIf, samples.WHAT_IF, "The risk before and after the changes"),
            **_faults(400, 401, 404, 408, 409, 413, 415, 422, 429, 503),
        },
    )
    async def compute_what_if(
        customer_id: CustomerId,
        body: Annotated[
            changes_type,  # type: ignore[valid-type]
            Body(
                json_schema_extra={"minProperties": 1},
                examples=[report.what_if_example],
            ),
        ],
    ) -> Response:
        return _json(await service.answer_what_if(customer_id, body))


def _add_plain_routes(app: FastAPI, service: Service) -> None:  # long: one route after another
    @app.get(
        "/health/live",
        tags=[OPERATION],
        summary="Check that the process responds",
        description="For a supervisor that restarts a process that hangs.\n\n"
        + docs_page.format_curl(service.settings.api_port, "GET", "/health/live"),
        response_model=None,
        responses=_answer(schemas.Health, samples.HEALTH, "The process responds"),
    )
    async def live() -> Response:
        model = service.models.current()
        return _json({"status": "ok", "model_version": model.version if model else None})

    @app.get(
        "/health/ready",
        tags=[OPERATION],
        summary="Check that customers can be scored",
        description="For a load balancer: Redis responds and contains customers with the features "
        "of the model in use.\n\n"
        + docs_page.format_curl(service.settings.api_port, "GET", "/health/ready"),
        response_model=None,
        responses={
            **_answer(schemas.Health, samples.HEALTH, "Customers can be scored"),
            **_faults(503),
        },
    )
    async def ready() -> Response:
        return _json(await service.ready())

    @app.get(
        "/metrics",
        tags=[OPERATION],
        summary="Read the metrics for Prometheus",
        description="Contains no customers. With a valid key in the header X-API-Key, the answer "
        "also has the metrics of the last run.\n\n"
        + docs_page.format_curl(service.settings.api_port, "GET", "/metrics"),
        response_class=Response,
        responses={
            200: {
                "description": "Metrics in Prometheus's text format",
                "content": {
                    METRICS_TYPE: {"schema": {"type": "string"}, "example": samples.METRICS}
                },
            },
        },
    )
    async def metrics(request: Request) -> Response:
        key = request.headers.get("x-api-key", "").encode()
        return Response(service.format_metrics(key), media_type=METRICS_TYPE)


def _add_docs_routes(app: FastAPI, service: Service) -> None:
    @app.get("/", include_in_schema=False)
    @app.get("/docs", include_in_schema=False)
    def docs(request: Request) -> Response:
        host = request.headers.get("host", "")
        bar = format_site_navigation(service.settings, sites.API, host)
        mark = NOTE if is_sample(service.settings) else ""
        policy = {"Content-Security-Policy": docs_page.POLICY}
        return HTMLResponse(docs_page.page(app.openapi(), mark, bar), headers=policy)

    assets = docs_page.asset_files()

    @app.get("/docs/{name}", include_in_schema=False)
    async def docs_asset(name: str) -> Response:
        if name not in assets:
            raise HTTPException(404)
        return FileResponse(assets[name], media_type=docs_page.MEDIA_TYPES[assets[name].suffix])


def _describe_key(app: FastAPI) -> None:
    """Add the API key to the API description: the request guard requires it, no route does."""
    describe = app.openapi

    def describe_api() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = describe()
            components = schema["components"]
            components["securitySchemes"] = {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}
            }
            components["schemas"]["ProblemDetails"] = TypeAdapter(
                errors.ProblemDetails
            ).json_schema()
            for path, methods in schema["paths"].items():
                for operation in methods.values() if path.startswith("/v1/") else ():
                    operation["security"] = [{"key": []}]
        return describe()

    app.openapi = describe_api  # type: ignore[method-assign]


def _http_problem(_: Request, error: Exception) -> Response:
    """Return any HTTP error in the one JSON format, including the framework's own terse ones."""
    if isinstance(error, ProblemError):
        return error.response()
    assert isinstance(error, HTTPException)
    if error.status_code == 400:
        return errors.bad_body().response()
    if error.status_code == 404:
        return errors.no_route().response()
    if error.status_code == 405:
        return errors.no_method(error.headers).response()
    return errors.refuse_request(error.status_code, error.headers).response()


def _validation_problem(request: Request, error: Exception) -> Response:
    """Return the first mismatch with the API description, without the value that was sent."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return errors.bad_body().response()
    if first["loc"] == ("body",) and not _declares_json(request):
        return errors.no_json_type().response()
    body = getattr(request.scope.get("route"), "body_field", None)
    fields = getattr(body.field_info.annotation, "__annotations__", {}) if body else {}
    return errors.describe_mismatch(first, fields).response()


def _declares_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")
