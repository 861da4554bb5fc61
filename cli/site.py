"""The dbt docs site, built as one static page."""

from pathlib import Path

from cli.build import dbt_command
from lakehouse import spark_server
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
