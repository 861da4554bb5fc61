"""What every request to a local site passes: its name, where it comes from, who sends it.

A site listens on loopback, and loopback is shared: every user of the machine reaches the port, and
so does every page that the owner's browser has open. Plain ASGI around an application, so all of
them answer by the same rules, whatever their framework: docs/decisions/0030-sites-and-backups.md.
"""

import base64
import hmac
import logging
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from lakehouse.atomic_write import generate_secret
from lakehouse.process import Say, check_port_free
from lakehouse.settings import LOOPBACK, Settings
from serving.middleware import App, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

USER = "admin"
LOOPBACK_NAMES = frozenset(("127.0.0.1", "localhost", "[::1]"))
HOST = re.compile(r"(\[[0-9a-f:]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", re.IGNORECASE)
# A request that has one of these twice is taken otherwise by one of two readers.
ONCE = (b"host", b"authorization", b"origin", b"sec-fetch-site", b"sec-fetch-mode")
READING = frozenset(("GET", "HEAD"))
HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"SAMEORIGIN",
    b"referrer-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
}
MISDIRECTED = "This site is for this machine alone: call it by localhost or 127.0.0.1"
FROM_ELSEWHERE = "This request was made by a page of another site; type the address instead"
READ_ONLY = "This site can only be read"
MALFORMED = "The request has a header twice"
NO_LOGIN = "Log in as {user}; the command that started this site says where the password is"


class Refusal(Exception):
    """A request that is not for the site: the answer to it."""

    def __init__(self, status: int, text: str, headers: Collection[tuple[bytes, bytes]] = ()):
        super().__init__(text)
        self.status, self.text, self.headers = status, text, headers


class SiteGuard:
    """A site's application, and what stands in front of it.

    `hosts`: names beside those of loopback that the site answers to. `password`: what HTTP Basic
    has to bring; None for a site that has a login of its own. `read_only`: GET and HEAD alone.
    """

    def __init__(
        self,
        app: App,
        password: str | None,
        hosts: Collection[str] = (),
        read_only: bool = False,
    ) -> None:
        self.app = app
        self._login = None if password is None else f"{USER}:{password}".encode()
        self._hosts = LOOPBACK_NAMES | {each.lower() for each in hosts}
        self._read_only = read_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # none of the sites has a WebSocket: the server refuses it
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            self.check(scope)
        except Refusal as refusal:
            log.warning("refused with %d: %s", refusal.status, refusal.text)
            await answer(refusal, scope["method"], send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                ours = [pair for pair in HEADERS.items() if pair[0] not in given]
                message["headers"] = [*message["headers"], *ours]
            await send(message)

        await self.app(scope, receive, sending)

    def check(self, scope: Scope) -> None:
        """See whether a request is for the site and from its user.

        Raises:
            Refusal: it is not.
        """
        names = [name for name, _ in scope["headers"]]
        if any(names.count(name) > 1 for name in ONCE):
            raise Refusal(400, MALFORMED)
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if not is_named(headers.get(b"host", ""), self._hosts):
            raise Refusal(421, MISDIRECTED)
        if not is_from_here(headers, scope["method"]):
            raise Refusal(403, FROM_ELSEWHERE)
        if self._login is not None and not _has_login(headers, self._login):
            challenge = (b"www-authenticate", b'Basic realm="churn", charset="UTF-8"')
            raise Refusal(401, NO_LOGIN.format(user=USER), [challenge])
        if self._read_only and scope["method"] not in READING:
            raise Refusal(405, READ_ONLY, [(b"allow", b"GET, HEAD")])


async def answer(refusal: Refusal, method: str, send: Send) -> None:
    """Send a refusal, as text."""
    body = f"{refusal.text}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *HEADERS.items(),
        *refusal.headers,
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


def is_named(host: str, hosts: Collection[str]) -> bool:
    """Whether a Host header calls a site by one of its names (DNS rebinding brings another)."""
    match = HOST.fullmatch(host)
    return match is not None and match[1].lower() in hosts


def is_from_here(headers: Mapping[bytes, str], method: str) -> bool:
    """Whether no page of another site made the browser send this.

    Programs send neither header. Ports of one machine are the same site to a browser, and any of
    its users can open one: of those only a link that is followed in the window itself counts.
    """
    site = headers.get(b"sec-fetch-site")
    if site is None:
        origin = headers.get(b"origin")
        return origin is None or urlsplit(origin).netloc == headers.get(b"host")
    followed = (
        headers.get(b"sec-fetch-mode") == "navigate"
        and headers.get(b"sec-fetch-dest") == "document"
        and method in READING
    )
    return site in ("same-origin", "none") or (site == "same-site" and followed)


def _has_login(headers: Mapping[bytes, str], login: bytes) -> bool:
    scheme, _, given = headers.get(b"authorization", "").partition(" ")
    try:
        brought = base64.b64decode(given.strip(), validate=True)
    except ValueError:
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(brought, login)


def password_file(settings: Settings) -> Path:
    """Where the password of the local sites' user is; mode 0600."""
    return settings.home / "secrets" / "site_password"


def site_password(settings: Settings) -> str:
    """The password of the local sites' user, generated where there is none yet."""
    return generate_secret(password_file(settings))


def serve(app: App, name: str, variable: str, port: int, say: Say, host: str = LOOPBACK) -> None:
    """Serve a guarded application until interrupted.

    Raises:
        lakehouse.errors.UnavailableError: the port is taken.
    """
    import uvicorn

    check_port_free(port, name, variable)
    say(f"{name} is at http://{LOOPBACK}:{port} (Ctrl-C ends)")
    uvicorn.run(
        app,
        host=host,
        port=port,
        ws="none",
        log_level="warning",
        # Of a proxy's headers nothing is believed. An address may name a customer: no log has it.
        proxy_headers=False,
        access_log=False,
        server_header=False,
    )


def say_login(settings: Settings, say: Say) -> None:
    """Tell where the password is: never the password, which would stay in a terminal's memory."""
    say(f"log in as {USER}; the password is in {password_file(settings)}")
