"""Check every request to a local site: the host name, the origin and the login.

A site listens on loopback, which is shared: every user of the machine reaches the port, and so does
every page that is open in the owner's browser. The guard is plain ASGI around an application, so
that the same rules apply to all sites, whatever their framework:
docs/decisions/0030-sites-and-backups.md.
"""

import base64
import hmac
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lakehouse.atomic_write import generate_secret
from lakehouse.process import Log, check_port_free
from lakehouse.settings import LOOPBACK, Settings
from lakehouse.sites import LOOPBACK_NAMES, Site, parse_host
from serving.middleware import App, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

USER = "admin"
# If one of these headers occurs twice, two parsers may use different values.
ONCE = (
    *(b"host", b"authorization", b"origin"),
    *(b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest"),
)
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
FOR_OWNER = "Readers may open the front page, the docs of the tables, and pages of models"
NO_LOGIN = "Log in as {user}; the command that started this site says where the password is"


class RefusedRequestError(Exception):
    """Response to a request that is not permitted."""

    def __init__(self, status: int, text: str, headers: Collection[tuple[bytes, bytes]] = ()):
        """Create the response.

        Args:
            status: The HTTP status.
            text: The message, which becomes the body.
            headers: Additional headers.
        """
        super().__init__(text)
        self.status, self.text, self.headers = status, text, headers


@dataclass(frozen=True)
class Readers:
    """Users who may only read, and pages without customers, which they may open.

    Attributes:
        is_reader: Return whether a name and a key belong to a reader.
        pages: Paths of pages.
        folders: Prefixes of paths.
    """

    is_reader: Callable[[str, str], bool]
    pages: Collection[str]
    folders: tuple[str, ...]

    def include(self, login: bytes) -> bool:
        """Return whether `user:password` is the login of a reader."""
        name, _, key = login.decode(errors="replace").partition(":")
        return self.is_reader(name, key)

    def may_open(self, path: str) -> bool:
        """Return whether a reader may open a path."""
        return path in self.pages or (path.startswith(self.folders) and ".." not in path)


class SiteGuard:
    """ASGI middleware that checks requests to a site's application and adds security headers."""

    def __init__(
        self,
        app: App,
        password: str | None,
        hosts: Collection[str] = (),
        read_only: bool = False,
        readers: "Readers | None" = None,
    ) -> None:
        """Wrap an application.

        Args:
            app: The site's application.
            password: The password for HTTP Basic; None for a site with its own login.
            hosts: Names of the site in addition to those of loopback.
            read_only: Whether to permit GET and HEAD only.
            readers: Who else may log in, and what they may open; None: no other user.
        """
        self.app = app
        self._login = None if password is None else f"{USER}:{password}".encode()
        self._readers = readers
        self._hosts = LOOPBACK_NAMES | {host.lower() for host in hosts}
        self._read_only = read_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection: check an HTTP request, then forward it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no site has a WebSocket: refuse it
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            self.check(scope)
        except RefusedRequestError as refusal:
            logger.warning("refused with %d: %s", refusal.status, refusal.text)
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
        """Check that a request is permitted: addressed to the site and from its user.

        Raises:
            RefusedRequestError: The request is not permitted.
        """
        names = [name for name, _ in scope["headers"]]
        if any(names.count(name) > 1 for name in ONCE):
            raise RefusedRequestError(400, MALFORMED)
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if not is_named(headers.get(b"host", ""), self._hosts):
            raise RefusedRequestError(421, MISDIRECTED)
        if not is_from_here(headers, scope["method"]):
            raise RefusedRequestError(403, FROM_ELSEWHERE)
        login = _read_login(headers)
        is_user = self._login is None or hmac.compare_digest(login, self._login)
        if not is_user and self._readers is not None and self._readers.include(login):
            if not self._readers.may_open(scope["path"]):
                raise RefusedRequestError(403, FOR_OWNER)
        elif not is_user:
            challenge = (b"www-authenticate", b'Basic realm="churn", charset="UTF-8"')
            raise RefusedRequestError(401, NO_LOGIN.format(user=USER), [challenge])
        if self._read_only and scope["method"] not in READING:
            raise RefusedRequestError(405, READ_ONLY, [(b"allow", b"GET, HEAD")])


async def answer(refusal: RefusedRequestError, method: str, send: Send) -> None:
    """Send a refusal as a plain-text response."""
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
    """Return whether a Host header names the site; DNS rebinding sends another name."""
    return parse_host(host) in hosts


def is_from_here(headers: Mapping[bytes, str], method: str) -> bool:
    """Return whether the request was not sent by a page of another site.

    Clients other than browsers send neither header. To a browser, all ports of a machine are the
    same site, although any user of the machine can open one; from other ports only top-level
    navigation by a link is accepted.
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


def _read_login(headers: Mapping[bytes, str]) -> bytes:
    """Return `user:password` of HTTP Basic, empty if there is none."""
    scheme, _, given = headers.get(b"authorization", "").partition(" ")
    try:
        return base64.b64decode(given.strip(), validate=True) if scheme.lower() == "basic" else b""
    except ValueError:
        return b""


def password_file(settings: Settings) -> Path:
    """Return the path of the password of the local sites' user (file mode 0600)."""
    return settings.home / "secrets" / "site_password"


def site_password(settings: Settings) -> str:
    """Return the password of the local sites' user, generating one if none exists."""
    return generate_secret(password_file(settings))


def serve(app: App, settings: Settings, site: Site, log: Log) -> None:
    """Serve a guarded application until interrupted.

    Args:
        app: The guarded application.
        settings: The settings of this CHURN_HOME.
        site: The site, which gets the links of the other sites' bars.
        log: Callback for progress messages.

    Raises:
        lakehouse.errors.UnavailableError: The port is in use.
    """
    import uvicorn

    port = site.port(settings)
    check_port_free(port, site.name, site.port_variable)
    log(f"{site.name} is at http://{LOOPBACK}:{port} (Ctrl-C ends)")
    site.record_start(settings)
    uvicorn.run(
        app,
        host=site.bind(settings),
        port=port,
        ws="none",
        log_level="warning",
        # Ignore a proxy's headers. Log no addresses, because they may have a customer's id.
        proxy_headers=False,
        access_log=False,
        server_header=False,
    )


def log_login(settings: Settings, log: Log) -> None:
    """Log where the password is stored; never the password itself, which a terminal would keep."""
    log(f"log in as {USER}; the password is in {password_file(settings)}")
