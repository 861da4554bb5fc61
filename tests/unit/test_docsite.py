"""The documentation site: built strictly, complete, and without requests to other sites."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from churn.cli.main import main
from docsite import badges
from docsite.build import build, frame_tables
from docsite.check import find_problems
from docsite.pages import _name_links
from docsite.reference import COMMON_OPTIONS, format_commands, format_tables
from lakehouse.domain import read_domain
from lakehouse.settings import PROJECT

DOCS = PROJECT / "docs"
NAVIGATION = (PROJECT / "mkdocs.yml").read_text().partition("\nnav:")[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; building it fails if a page of it has a problem."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    assert build(folder) > 50
    return folder


def test_the_site_is_complete(site: Path) -> None:
    assert find_problems(site) == []
    named = [page.replace(".md", ".html") for page in re.findall(r"[\w/-]+\.md", NAVIGATION)]
    assert [page for page in named if not (site / page).exists()] == []
    # Nothing is drawn by a library that a browser would fetch.
    assert not [page for page in site.rglob("*.html") if 'class="mermaid"' in page.read_text()]
    assert (site / "search.js").exists()


def test_the_page_of_an_unknown_address_is_styled_at_any_depth(site: Path) -> None:
    page = (site / "404.html").read_text()
    assert page.count("<style>") >= 3 and 'rel="stylesheet"' not in page
    addresses = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert [each for each in addresses if not each.startswith(("/", "#"))] == []
    assert not re.findall(r"url\((?!['\"]?data:)", page)


def test_every_table_can_be_scrolled_by_keyboard(site: Path) -> None:
    """Each is in a region with a tab stop and a name of its own, so that no page gets wider."""
    tables = {page: page.read_text().count("<table>") for page in site.rglob("*.html")}
    assert sum(tables.values()) > 100
    for page, number in tables.items():
        text = page.read_text()
        names = re.findall(
            r'<div class="table" role="region" tabindex="0" aria-label="([^"]+)"><table>', text
        )
        assert len(names) == number, page
        assert all(name.partition(": ")[2] for name in names), (page, names)
        assert "pictures/tables.js" in text


def test_a_table_is_named_for_its_heading() -> None:
    page = '<h2 id="a">The <code>a</code> "b"<a class="headerlink" href="#a"></a></h2>'
    framed = frame_tables(f"{page}<table><tr></tr></table><p></p><table></table>")
    assert re.findall('aria-label="(.*?)"><table>', framed) == [
        "Table: The a &quot;b&quot;",
        "Table 2: The a &quot;b&quot;",
    ]
    assert framed.count("</table></div>") == 2


def test_a_tab_leads_to_its_first_page(site: Path) -> None:
    """Not to a page that happens to be called index: that of the decisions is the last one."""
    tabs = re.findall(
        r'<a href="([^"]+)" class="md-tabs__link">', (site / "index.html").read_text()
    )
    assert "./architecture.html" in tabs
    assert not [tab for tab in tabs if "decisions" in tab]


def test_a_link_names_its_page(tmp_path: Path) -> None:
    (tmp_path / "model.md").write_text("# The model\n")
    text = "([model.md](model.md#use), [0031](decisions/0031-x.md), [it](model.md))"
    assert _name_links(text, tmp_path / "page.md") == (
        "([The model](model.md#use), [decision 31](decisions/0031-x.md), [it](model.md))"
    )


def test_no_column_of_a_table_is_empty() -> None:
    tables = format_tables()
    assert "| Column | Type | Meaning |" in tables and "| Column | Meaning |" in tables
    for table in re.findall(r"\| Column \| Type .*?(?=\n\n|\Z)", tables, re.DOTALL):
        assert re.search(r"^\| `\w+` \| \w", table, re.MULTILINE), table


def test_every_page_is_in_the_navigation() -> None:
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    missing = {page for page in pages if page not in NAVIGATION}
    assert {page for page in missing if not page.startswith("decisions/")} == set()


def test_the_reference_names_every_command() -> None:
    page = format_commands()
    for name, command in main.commands.items():
        assert (f"### churn {name}\n" in page) != command.hidden, name


def test_options_of_all_commands_are_listed_once() -> None:
    page = format_commands()
    for option in ("`--quiet, -q`", "`--verbose, -v`", "<code>--color "):
        assert page.count(f"| {option}") == 1, option
    own = page.partition("### churn run\n")[2].partition("\n### ")[0]
    assert "--extract-date" in own and "`--quiet" not in own


def test_commands_have_the_common_options() -> None:
    """What the page says of every command: none of them lacks one."""

    def visit(command: click.Command, path: str) -> Iterator[str]:
        if isinstance(command, click.Group):
            for name, each in command.commands.items():
                yield from () if each.hidden else visit(each, f"{path} {name}")
        elif not set(COMMON_OPTIONS) <= {each.name for each in command.params}:
            yield path

    assert list(visit(main, "churn")) == []


def test_the_reference_names_every_column_of_the_features() -> None:
    section = format_tables().partition("### gold.customer_features")[2].partition("\n### ")[0]
    declared = yaml.safe_load((PROJECT / "models" / "gold" / "customer_features.yml").read_text())
    columns = [column["name"] for column in declared["models"][0]["columns"]]
    assert len(columns) > len(read_domain().variables["source_contract"])
    assert [name for name in columns if f"| `{name}` |" not in section] == []


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ('<script src="https://cdn.example/a.js"></script>', "requests https://cdn.example/a.js"),
        ('<link rel="stylesheet" href="//fonts.example/a">', "requests //fonts.example/a"),
        ('<img src="https://example/a.png">', "requests https://example/a.png"),
        ('<img src="missing.png">', "the link missing.png leads to no file"),
        ('<a href="b.html">b</a>', "the link b.html leads to no file"),
        ('<a href="#nothing">b</a>', "the link #nothing leads to no heading"),
        ('<a href="https://example.org" id="a">b</a><a href="page.html#a">c</a>', None),
    ],
    ids=["script", "style", "image", "no picture", "no page", "no heading", "none"],
)
def test_a_problem_of_a_page_is_found(tmp_path: Path, html: str, problem: str | None) -> None:
    (tmp_path / "page.html").write_text(html)
    expected = [f"page.html: {problem}"] if problem else []
    assert find_problems(tmp_path) == expected


def test_a_page_that_is_too_big_is_found(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("x" * 500_001)
    assert find_problems(tmp_path) == [
        "page.html: has 500,001 bytes; at most 500,000 are permitted"
    ]


def test_a_request_of_a_stylesheet_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("@import 'https://fonts.example/b.css';")
    assert find_problems(tmp_path) == ["a.css: requests https://fonts.example/b.css"]


def test_the_badges_are_those_of_the_project() -> None:
    for name, text in badges.render().items():
        assert (badges.FOLDER / name).read_text() == text, "run `make pictures`"


def test_pictures_are_small() -> None:
    pictures = [*(DOCS / "pictures").glob("*.png"), *(DOCS / "pictures").glob("*.svg")]
    assert pictures
    assert [path.name for path in pictures if path.stat().st_size > 200_000] == []
