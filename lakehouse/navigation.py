"""Render the bar of links that all sites share, and insert it into finished pages.

Reports and evaluations are files of their own, which people pass on without the site. Their copies
in the site have the bar. Sites of other projects get it while their pages are served.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import unescape
from pathlib import Path, PurePosixPath
from posixpath import relpath

from markupsafe import Markup

from lakehouse import sites
from lakehouse.settings import Settings
from lakehouse.sites import Site

# Folder of the docs site below CHURN_HOME, and its front page in it.
SITE, INDEX = "site", "index.html"
START, END = "<!-- site navigation -->", "<!-- end of site navigation -->"
BAR_END = f"\n</nav>\n{END}"
BLOCK = re.compile(f"{re.escape(START)}.*?{re.escape(END)}\\n?", re.DOTALL)
BODY = re.compile(r"<body[^>]*>\n?")
ANCHOR = re.compile(r'<a href="([^"]*)"[^>]*>([^<]*)</a>')
STYLE = f"<style>\n{Path(__file__).with_name('navigation.css').read_text()}</style>"
# For a page that fills the window: the bar takes one row of it, 44px high.
ROW_STYLE = (
    "body > .site-nav { box-sizing: border-box; height: 44px; margin: 0; padding: 0 1rem; "
    "flex-wrap: nowrap; overflow-x: auto; white-space: nowrap; background: #fff; }"
)
WITHOUT_DOCS = "Reports, traces and tables"


@dataclass(frozen=True)
class Link:
    """Link of the bar: its text, its path in the docs site or its address, and its tooltip."""

    name: str
    path: str
    title: str = ""


def format_navigation(links: Sequence[Link], page: str) -> Markup:
    """Return the bar for a page of the docs site.

    Args:
        links: The links, in the order of the bar.
        page: The page's path in the site; its link is marked as the current one. With a leading
            slash, the links are absolute: the page may be shown at any address.
    """
    return _format_bar(
        _format_link(link, _address(link.path, page), is_current=link.path == page.lstrip("/"))
        for link in links
    )


def format_site_navigation(settings: Settings, site: Site, host: str) -> Markup:
    """Return the bar for a page of a site other than the docs site.

    It links to what runs. It is empty if the request came from another machine, or may have come
    from one: the addresses would lead nowhere there.

    Args:
        settings: The settings of this CHURN_HOME.
        site: The site, whose link is marked as the current one.
        host: The request's Host header. A link with another name of this machine would be refused
            as one from elsewhere (`churn.reports.site_guard`).
    """
    name = sites.parse_host(host)
    if name is None or name not in sites.LOOPBACK_NAMES or not site.is_local(settings):
        return Markup("")
    items = [_format_link(link, link.path) for link in _link_docs(settings, name)]
    if not items:
        text = Markup("<span>{}: <code>{}</code></span>")
        items = [text.format(WITHOUT_DOCS, sites.DOCS.start_command(settings))]
    running = {link.name: link for link in link_running_sites(settings, name)}
    for other in sites.OTHERS:
        if other is site:
            items.append(_format_link(Link(site.name, "/"), "/", is_current=True))
        elif other.name in running:
            items.append(_format_link(running[other.name], running[other.name].path))
    return _format_bar(items)


def link_running_sites(settings: Settings, name: str) -> list[Link]:
    """Return links to the sites that run besides the docs site.

    Args:
        settings: The settings of this CHURN_HOME.
        name: The name by which the request called this machine.
    """
    ports = {site: site.find_port(settings) for site in sites.OTHERS}
    return [
        Link(site.name, f"http://{name}:{port}/", f"Started by: {site.start_command(settings)}")
        for site, port in ports.items()
        if port
    ]


def insert_navigation(html: str, bar: str) -> str:
    """Return a page with a bar at the beginning of its body, in place of an earlier one."""
    # A text before markup would be escaped.
    text = str(bar)
    return BODY.sub(lambda match: match[0] + text, BLOCK.sub("", html), count=1)


def add_links(html: str, links: Sequence[Link]) -> str:
    """Return a page with further links at the end of its bar; without a bar it is unchanged."""
    items = "".join(f"\n{_format_link(link, link.path)}" for link in links)
    return html.replace(BAR_END, items + BAR_END, 1)


def read_navigation(html: str) -> str:
    """Return the bar of a page; empty if it has none."""
    found = BLOCK.search(html)
    return found[0] if found else ""


def mark_page(bar: str, name: str) -> Markup:
    """Return a bar with another current link, for a page beside the one that it was made for."""
    without = bar.replace(' aria-current="page"', "")
    return Markup(without.replace(f">{name}</a>", f' aria-current="page">{name}</a>'))


def _link_docs(settings: Settings, name: str) -> list[Link]:
    """Return the links of the front page's bar as addresses, or none if it is not served."""
    port = sites.DOCS.find_port(settings)
    index = settings.home / SITE / INDEX
    if port is None or not index.is_file():
        return []
    return [
        Link(
            unescape(text),
            f"http://{name}:{port}/{unescape(path)}",
            f"Started by: {sites.DOCS.start_command(settings)}",
        )
        for path, text in ANCHOR.findall(read_navigation(index.read_text()))
    ]


def _format_bar(items: Iterable[Markup]) -> Markup:
    nav = Markup('<nav class="site-nav" aria-label="Site">\n{}\n</nav>')
    bar = nav.format(Markup("\n").join(items))
    return Markup("{}\n{}\n{}\n{}\n").format(Markup(START), Markup(STYLE), bar, Markup(END))


def _format_link(link: Link, address: str, is_current: bool = False) -> Markup:
    title = Markup(' title="{}"').format(link.title) if link.title else ""
    current = Markup(' aria-current="page"') if is_current else ""
    return Markup('<a href="{}"{}{}>{}</a>').format(address, title, current, link.name)


def _address(path: str, page: str) -> str:
    if page.startswith("/"):
        return f"/{path}"
    file, hash_, anchor = path.partition("#")
    return relpath(file, PurePosixPath(page).parent) + hash_ + anchor
