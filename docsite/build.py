"""Build the site: collect the pages, render their diagrams, call the generator, check the result.

The generator is strict: a link to a page or a heading that does not exist fails the build. What it
does not look at, `docsite.check` does.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from docsite.check import find_problems
from docsite.pages import write_pages
from lakehouse.settings import PROJECT

CONFIG = PROJECT / "mkdocs.yml"
GENERATOR = Path(sys.executable).with_name("zensical")
# Files of the generator that no page uses.
UNUSED = ("search.json", "sitemap.xml", "objects.inv")
# The page that a server sends for an address without a page, and a link of it to a stylesheet.
MISSING = "404.html"
STYLE_LINK = re.compile(r'(<link[^>]*rel="?stylesheet"?[^>]*href="([^"]+)"[^>]*>)')
# What the generator loads from another site for pages that are opened from a folder, and ours.
FRAME_WORKER = "https://unpkg.com/iframe-worker/shim"
OWN_WORKER = Path(__file__).with_name("frame_worker.js")
# In a built page: a heading, whose text precedes the link to itself, and a table.
HEADING_OR_TABLE = re.compile(
    r"<h[1-6][^>]*>(.*?)(?:<a class=\"headerlink|</h[1-6])|<table>.*?</table>", re.DOTALL
)
TAGS = re.compile(r"<[^>]*>")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class DocsError(Exception):
    """The site can't be built, or a page of it has a problem."""


def build(target: Path) -> int:
    """Replace the folder `target` with the site, and return its number of pages.

    Raises:
        DocsError: The generator failed, or the built pages have problems.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pages(folder / "pages")
        shutil.copy(CONFIG, folder)
        _generate(folder)
        built = folder / "site"
        _replace_worker(built)
        _inline_styles(built / MISSING)
        for page in built.rglob("*.html"):
            page.write_text(frame_tables(page.read_text()))
        for unused in UNUSED:
            (built / unused).unlink(missing_ok=True)
        if problems := find_problems(built):
            raise DocsError("\n".join(problems))
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(built, target)
    return len(list(target.rglob("*.html")))


def _replace_worker(site: Path) -> None:
    """Make all pages load the script for offline searches from the site itself."""
    script = site / "assets" / "javascripts" / OWN_WORKER.name
    shutil.copy(OWN_WORKER, script)
    for page in site.rglob("*.html"):
        text = page.read_text()
        is_missing = page.name == MISSING
        own = f"/{script.relative_to(site)}" if is_missing else os.path.relpath(script, page.parent)
        page.write_text(text.replace(FRAME_WORKER, own))


def _inline_styles(page: Path) -> None:
    """Write the styles into the page of unknown addresses, which it loads from the root.

    A server sends the page for addresses of any depth, and the site need not be at its root.
    """
    text = page.read_text()
    for link, address in STYLE_LINK.findall(text):
        style = (page.parent / address.lstrip("/")).read_text()
        text = text.replace(link, f"<style>{style}</style>")
    page.write_text(text)


def frame_tables(page: str) -> str:
    """Return a page whose tables are regions that the keyboard can scroll, named for their heading.

    A table that is wider than the window scrolls in its region, and the page stays as wide as the
    window. `docs/pictures/tables.js` leaves out regions that need no scrolling when Tab is pressed.
    """
    heading, number = "", 0

    def frame(match: re.Match[str]) -> str:
        nonlocal heading, number
        if match[1] is not None:
            heading, number = TAGS.sub("", match[1]).strip(), 0
            return match[0]
        number += 1
        name = f"Table {number}: {heading}" if number > 1 else f"Table: {heading}"
        name = name.replace('"', "&quot;")
        region = f'<div class="table" role="region" tabindex="0" aria-label="{name}">'
        return f"{region}{match[0]}</div>"

    return HEADING_OR_TABLE.sub(frame, page)


def _generate(folder: Path) -> None:
    answer = subprocess.run(
        [GENERATOR, "build", "--strict"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        output = COLOURS.sub("", answer.stdout + answer.stderr)
        raise DocsError(output.partition("Traceback")[0].strip() or output.strip())
