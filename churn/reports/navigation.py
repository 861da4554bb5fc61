"""Render the bar of links that all pages of the site share, and insert it into finished pages.

Reports and evaluations are files of their own, which people pass on without the site. Their copies
in the site have the bar.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import relpath

from markupsafe import Markup

START, END = "<!-- site navigation -->", "<!-- end of site navigation -->"
BLOCK = re.compile(f"{re.escape(START)}.*?{re.escape(END)}\\n?", re.DOTALL)
BODY = re.compile(r"<body[^>]*>\n?")
STYLE = f"<style>\n{Path(__file__).with_name('navigation.css').read_text()}</style>"


@dataclass(frozen=True)
class Link:
    """Link of the bar: its text, and its path in the site."""

    name: str
    path: str


def format_navigation(links: Sequence[Link], page: str) -> Markup:
    """Return the bar for a page.

    Args:
        links: The links, in the order of the bar.
        page: The page's path in the site; its link is marked as the current one. With a leading
            slash, the links are absolute: the page may be shown at any address.
    """
    items = Markup("\n").join(
        Markup('<a href="{}"{}>{}</a>').format(
            _address(link.path, page), _mark_current(link.path, page), link.name
        )
        for link in links
    )
    nav = Markup('<nav class="site-nav" aria-label="Site">\n{}\n</nav>').format(items)
    return Markup("{}\n{}\n{}\n{}\n").format(Markup(START), Markup(STYLE), nav, Markup(END))


def insert_navigation(html: str, links: Sequence[Link], page: str) -> str:
    """Return a page with the bar at the beginning of its body, in place of an earlier one."""
    bar = str(format_navigation(links, page))
    without = BLOCK.sub("", html)
    return BODY.sub(lambda match: match[0] + bar, without, count=1)


def read_navigation(html: str) -> str:
    """Return the bar of a page; empty if it has none."""
    found = BLOCK.search(html)
    return found[0] if found else ""


def mark_page(bar: str, name: str) -> Markup:
    """Return a bar with another current link, for a page beside the one that it was made for."""
    without = bar.replace(' aria-current="page"', "")
    return Markup(without.replace(f">{name}</a>", f' aria-current="page">{name}</a>'))


def _address(path: str, page: str) -> str:
    if page.startswith("/"):
        return f"/{path}"
    file, hash_, anchor = path.partition("#")
    return relpath(file, PurePosixPath(page).parent) + hash_ + anchor


def _mark_current(path: str, page: str) -> Markup:
    return Markup(' aria-current="page"') if path == page.lstrip("/") else Markup("")
