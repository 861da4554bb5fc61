"""A browser for tests, and the command of the site that it opens."""

import json
import shutil
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

# A test's pages are the only addresses that it may request.
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
SERVE_SITE = """
import sys
from pathlib import Path
from churn.operations.site_server import serve_site
from lakehouse.settings import read_settings
serve_site(read_settings(), Path(sys.argv[1]), print)
"""


# The project's pages answer to WCAG 2, levels A and AA.
WCAG = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
# The impacts, in axe's words, of what bars a reader from a page.
SEVERE = ("serious", "critical")


def is_accessible(
    page: Page,
    impacts: Collection[str] = ("minor", "moderate", *SEVERE),
    except_in: str | None = None,
) -> None:
    """Nothing that axe objects to, or nothing of these impacts on a page that others made.

    `except_in` selects a part that others made and that we cannot change.
    """
    context = {"exclude": [[except_in]]} if except_in else None
    found = Axe().run(page, context=context, options=WCAG)
    assert found.response["passes"], "axe has looked at nothing"
    violated = {
        each["id"]: [(node["target"], node["failureSummary"]) for node in each["nodes"]]
        for each in found.response["violations"]
        if each["impact"] in impacts
    }
    assert violated == {}, json.dumps(violated, indent=2)


def fits(page: Page) -> None:
    """Nothing is wider than the window."""
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium; skip the test if there is none."""
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("there is no Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


def serve_site(folder: Path) -> list[str | Path]:
    """The command that serves a folder as `churn docs` does."""
    return [sys.executable, "-c", SERVE_SITE, folder]
