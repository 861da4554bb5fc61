"""The dbt docs site: built as one static page, served on loopback."""

import functools
import http.server
from pathlib import Path

from cli.build import dbt_command
from lakehouse import spark_server
from lakehouse.errors import Unavailable
from lakehouse.service import Say
from lakehouse.settings import Settings


def build_site(settings: Settings, say: Say) -> Path:
    """Build the site and return its folder; it needs no server to be read."""
    spark_server.ensure(settings, say)
    say("building the dbt docs")
    dbt_command(settings, ["docs", "generate", "--static"])
    folder = settings.home / "site"
    folder.mkdir(parents=True, exist_ok=True)
    page = (settings.home / "dbt" / "static_index.html").read_bytes()
    (folder / "index.html").write_bytes(page)
    return folder


def serve_site(folder: Path, port: int, say: Say) -> None:
    """Serve a folder on loopback until interrupted.

    Raises:
        Unavailable: the port is taken.
    """
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as fault:
        raise Unavailable(
            f"Port {port} for the docs site is taken: {fault}",
            where=f"127.0.0.1:{port}",
            remedy="set CHURN_DOCS_PORT to a free port",
        ) from fault
    with server:
        say(f"the docs are at http://127.0.0.1:{port} (Ctrl-C ends)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("stopped")
