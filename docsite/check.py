"""Check built pages: no request to another site, no broken link or anchor, no page too big."""

import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LONGEST = 500_000
# Attributes by which a page loads something, and links whose target a browser does not request.
LOADED = {"src", "srcset", "poster", "data"}
NOT_REQUESTED = {"canonical", "alternate", "prev", "next", "author", "license"}
# A stylesheet's own requests.
IN_STYLES = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])((?:https?:)?//[^'\")\s]+)")


class _Page(HTMLParser):
    """The ids of a page, its links, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        self.loaded += [values[name] for name in LOADED if name in values]
        if tag == "a":
            self.links += [values["href"]] if "href" in values else []
        elif "href" in values and values.get("rel") not in NOT_REQUESTED:
            self.loaded.append(values["href"])


def find_problems(folder: Path) -> list[str]:
    """Return the problems of the pages, styles and pictures below a folder, each with its place."""
    folder = folder.resolve()
    pages = {path: _Page(path.read_text()) for path in sorted(folder.rglob("*.html"))}
    problems = [
        f"{path.relative_to(folder)}: {problem}"
        for path, page in pages.items()
        for problem in _find_page_problems(path, page, pages)
    ]
    for path in sorted(folder.rglob("*.svg")):
        if "<svg" not in path.read_text()[:1000]:
            problems.append(f"{path.relative_to(folder)}: is no picture")
    for path in sorted([*folder.rglob("*.css"), *folder.rglob("*.svg")]):
        for address in IN_STYLES.findall(path.read_text()):
            problems.append(f"{path.relative_to(folder)}: requests {address}")
    return problems


def _find_page_problems(path: Path, page: _Page, pages: dict[Path, _Page]) -> Iterator[str]:
    if (size := path.stat().st_size) > LONGEST:
        yield f"has {size:,} bytes; at most {LONGEST:,} are permitted"
    for address in page.loaded:
        if urlsplit(address).netloc:
            yield f"requests {address}"
    # The generator's error page addresses everything from the root of a site, whichever it is.
    if path.name != "404.html":
        for address in {*page.links, *page.loaded}:
            if problem := _find_link_problem(path, address, pages):
                yield problem


def _find_link_problem(path: Path, address: str, pages: dict[Path, _Page]) -> str:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return ""
    target = Path(os.path.normpath(path.parent / unquote(parts.path))) if parts.path else path
    if target not in pages and not target.is_file():
        return f"the link {address} leads to no file"
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
        return f"the link {address} leads to no heading"
    return ""
