"""Guard every request: request id, API key and limits; count it and log it in one line.

This is plain ASGI around the application. Starlette's own base class for this would cost each
request a task and two queues.
"""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from lakehouse.key_store import Keys
from serving import errors
from serving.errors import ProblemError
from serving.metrics import Metrics
from serving.rate_limit import Limits

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger(__name__)

GUARDED = "/v1/"
KEY_HEADER, ID_HEADER = b"x-api-key", b"x-request-id"
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
# A thousand ids of a hundred characters, each up to four bytes, and the JSON syntax around them.
LARGEST_BODY = 512 * 1024
BODY_SECONDS = 10.0
# Other methods are counted as one, because clients may send any number of unsupported ones.
METHODS = frozenset(("GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"))
# If a request matches no route, its path is not logged: it may be anything.
NO_ROUTE = "(none)"
# A response may have its own: the page of the API loads its scripts.
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
]


class RequestGuard:
    """The application, and the checks that precede it."""

    def __init__(self, app: App, keys: Keys, limits: Limits, metrics: Metrics) -> None:
        """Wrap the application `app`."""
        self.app = app
        self._keys = keys
        self._limits = limits
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process an ASGI scope; only HTTP requests are checked, counted and logged."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = _request_id(headers)
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {name.lower() for name, _ in message["headers"]}
                ours = [pair for pair in HEADERS if pair[0] not in given]
                message["headers"] = [*message["headers"], (ID_HEADER, request_id), *ours]
            await send(message)

        try:
            await self._pass(scope, headers, receive, sending)
        except Exception:
            # The cause is in the log, under the id that the client has, and nowhere else.
            log.exception("request %s failed", request_id.decode())
            if not status:
                await unexpected_error().response()(scope, receive, sending)
        seconds = time.perf_counter() - begun
        # The route, not the path: a customer's id must not appear in metrics or the log.
        route = getattr(scope.get("route"), "path", NO_ROUTE)
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.request(route, method, status, seconds)
        log.info(
            "%s %s %d %.1f ms request=%s",
            method,
            route,
            status,
            seconds * 1000,
            request_id.decode(),
        )

    async def _pass(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send
    ) -> None:
        try:
            if scope["path"].startswith(GUARDED):
                scope["churn.key"] = owner = self._keys.owner(headers.get(KEY_HEADER, b""))
                if owner is None:
                    raise errors.no_key()
                wait = self._limits.take(owner)
                if wait:
                    raise errors.too_many(wait)
            if b"content-length" in headers or b"transfer-encoding" in headers:
                receive = _limit_body(headers, receive)
        except ProblemError as problem:
            await problem.response()(scope, receive, send)
            return
        await self.app(scope, receive, send)


def unexpected_error() -> ProblemError:
    """Return the error for an internal failure; its cause is in the log."""
    return ProblemError(
        500,
        "fault",
        "The service failed to answer",
        where="the service",
        hint="try again; if it persists, report the X-Request-ID of this answer",
    )


def _request_id(headers: dict[bytes, bytes]) -> bytes:
    """Return the client's id if valid, so that both sides' logs can be compared, else a new one."""
    given = headers.get(ID_HEADER, b"")
    return given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8).encode()


def _limit_body(headers: dict[bytes, bytes], receive: Receive) -> Receive:
    """Return a `receive` for a body that is neither too big nor too slow.

    Raises:
        ProblemError: The declared length is too big; `receive` raises if the body is too big or too
            slow.
    """
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > LARGEST_BODY:
        raise errors.too_big(LARGEST_BODY)
    left = LARGEST_BODY
    deadline = time.monotonic() + BODY_SECONDS
    done = False

    async def receiving() -> Message:
        nonlocal left, done
        if done:  # waits for the end of the connection, without a limit
            return await receive()
        try:
            async with asyncio.timeout(max(0, deadline - time.monotonic())):
                message = await receive()
        except TimeoutError:
            raise errors.too_slow(BODY_SECONDS) from None
        left -= len(message.get("body", b""))
        done = not message.get("more_body", False)
        if left < 0:
            raise errors.too_big(LARGEST_BODY)
        return message

    return receiving
