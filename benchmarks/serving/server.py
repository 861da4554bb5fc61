"""The API with two routes more, which nobody serves otherwise: what it can't be faster than.

Each reads the same hashes through the same gate and client, and says how many bytes they have.
"""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from fastapi import Body, FastAPI, Request
from starlette.responses import Response

from lakehouse.settings import read_settings
from serving import schemas
from serving.app import CustomerId, Service, application
from serving.online import AT_ONCE, Hash
from serving.server import run


def main() -> None:
    settings = read_settings()
    gate = application(settings)
    app = gate.app
    assert isinstance(app, FastAPI)
    _add_floor(app, app.state.service)
    run(gate, settings, print)


def _add_floor(app: FastAPI, service: Service) -> None:
    @app.get("/v1/customers/{customer_id}/floor", response_model=None)
    async def floor(customer_id: CustomerId) -> Response:
        return _bytes([await service.online.customer(customer_id)])

    @app.post("/v1/floor:batch", response_model=None)
    async def floor_batch(request: Request, body: Annotated[schemas.Batch, Body()]) -> Response:
        ids = body["customer_ids"]
        service.limits.take(request.scope["churn.key"], len(ids) - 1)
        found: list[Hash] = []
        for start in range(0, len(ids), AT_ONCE):
            found += await service.online.customers(ids[start : start + AT_ONCE])
        return _bytes(found)


def _bytes(hashes: Iterable[Hash]) -> Response:
    count = sum(len(field) + len(value) for each in hashes for field, value in each.items())
    return Response(msgspec.json.encode({"bytes": count}), media_type="application/json")


if __name__ == "__main__":
    main()
