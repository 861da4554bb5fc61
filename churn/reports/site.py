"""Build the site as static files: front page, dbt docs, and the linked reports."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from pyspark.sql.connect.session import SparkSession

from churn.provenance.run_history import LIST
from churn.reports.front_page import (
    DBT_DOCS,
    EVALUATION,
    MISSING,
    REPORT,
    evaluation_of,
    front_page,
    list_of,
    missing_page,
    report_of,
    site_links,
)
from lakehouse import spark_server, spark_session
from lakehouse.atomic_write import atomic_write
from lakehouse.dbt_runner import run_dbt_command
from lakehouse.navigation import (
    INDEX,
    ROW_STYLE,
    SITE,
    Link,
    format_navigation,
    insert_navigation,
)
from lakehouse.page_icon import ICON
from lakehouse.process import Log
from lakehouse.sample_home import NOTE, is_sample
from lakehouse.settings import Settings

OWN = Path(__file__).parent
DBT_HEAD = (
    f"<style>{ROW_STYLE}\n{(OWN / 'dbt_docs.css').read_text()}</style>\n"
    f"<script>\n{(OWN / 'dbt_docs.js').read_text()}</script>\n"
)
MENU_OVERLAY = '<div class="app-overlay" data-toggle=".app-menu"></div>'
# Fills of the lineage's nodes on which their white labels can't be read, and darker ones. The
# border keeps the colour, which marks the node on the dark ground.
NODE_FILLS = {
    ('node.horizontal"', "#0094b3"): "#00758e",
    ('node[resource_type="source"]\'', "#5fb825"): "#3d7a16",
    ('node[resource_type="exposure"]\'', "#ff694b"): "#c2381c",
    ('node[resource_type="metric"]\'', "#ff5688"): "#c81e56",
    ('node[resource_type="semantic_model"]\'', "#ffa8c2"): "#a8456a",
    ('node[resource_type="saved_query"]\'', "#ff7f50"): "#b3471b",
    ('node[resource_type="function"]\'', "#d4a017"): "#83620b",
    ('node.horizontal.dirty"', "#919599"): "#63676b",
}
# Parts of dbt's page, each of which it has once, and their replacements in this project's page.
BRANDING = {
    "<title>dbt Docs</title>": "<title>Telco churn: tables and lineage</title>",
    # A placeholder that dbt's own build has not filled.
    "${require('./assets/favicons/favicon.ico')}": ICON,
    # The lineage leaves tests out, of which there are more than models: as nodes, and as ends of
    # edges, because the page draws nothing if an edge leads to a node that it leaves out.
    'n="test"===e.resource_type&&!e.hasOwnProperty("test_metadata"),o="unit_test"===': (
        'n=!1,o=!1&&"unit_test"==='
    ),
    '("test"!=o.resource_type||!o.hasOwnProperty("test_metadata"))': (
        '!["test","unit_test"].includes(o.resource_type)'
    ),
    # Readers query a table by its schema, which the name of its source need not be.
    'e.label=e.source_name+"."+e.name': 'e.label=e.schema+"."+e.name',
    # From top to bottom, labels are several times as large as from left to right.
    'left_right:{name:"dagre",rankDir:"LR",rankSep:200,edgeSep:30,nodeSep:50}': (
        'left_right:{name:"dagre",rankDir:"TB",rankSep:50,edgeSep:15,nodeSep:20}'
    ),
    '"source-endpoint":"50% 0%","target-endpoint":"270deg"': (
        '"source-endpoint":"0% 50%","target-endpoint":"0deg"'
    ),
    'f.resize(),"fullscreen"==e?f.fit(100):f.fit(25)': "fitLineage(f,e)",
    "t.layout(e.vizLayout).run(),e.vizRendered(t)": (
        "t.layout(e.vizLayout).run(),fitLineage(t,e.vizSize),e.vizRendered(t)"
    ),
    MENU_OVERLAY: (
        f'{MENU_OVERLAY}<button type="button" class="menu-button" aria-expanded="false" '
        'onclick="toggleMenu()">Menu: tables and models</button>'
    ),
    **{
        f'{node},style:{{"background-color":"{fill}"': (
            f'{node},style:{{"border-width":2,"background-color":"{darker}"'
        )
        for (node, fill), darker in NODE_FILLS.items()
    },
    # The page fills the window; the bar of the site takes its own row of it.
    "</head>": f"{DBT_HEAD}</head>",
}
# A browser would request the text of the placeholder before Angular fills it.
ICON_PLACEHOLDER, FILLED_ICON = 'xlink:href="{{ getIcon(', 'ng-attr-href="{{ getIcon('
# Marks dbt's own page; its content is drawn by a script.
SAMPLE_STYLE = (
    f'<style>body::before {{ content: "{NOTE}"; position: fixed; inset: auto 0 0; z-index: 9999; '
    "padding: 2px; background: #fdf0d5; color: #7a4d00; text-align: center; font-weight: 600; }"
    "</style>"
)


def build_site(settings: Settings, log: Log) -> Path:
    """Build the site and return its folder; the pages work without a server."""
    spark_server.ensure_running(settings, log)
    log("building the dbt docs")
    run_dbt_command(settings, ["docs", "generate", "--static"])
    built = adapt_dbt_docs((settings.home / "dbt" / "static_index.html").read_text())
    if is_sample(settings):
        built = built.replace("</head>", f"{SAMPLE_STYLE}</head>", 1)
    _write(settings.home / SITE / DBT_DOCS, built)
    log("writing the front page")
    with spark_session.session(settings) as spark:
        return write_front_page(settings, spark).parent


def adapt_dbt_docs(html: str) -> str:
    """Return dbt's page with this project's names, menu and lineage."""
    for theirs, ours in BRANDING.items():
        # The texts of the project are in the page, too, further below.
        html = html.replace(theirs, ours, 1)
    return html.replace(ICON_PLACEHOLDER, FILLED_ICON)


def write_front_page(settings: Settings, spark: SparkSession) -> Path:
    """Write the front page with current data, and the pages of runs and models that it links to.

    This is fast enough for every run to update the page; the dbt docs are not rebuilt.

    Returns:
        The path of the front page.
    """
    from churn.reports.front_page_data import gather

    data, site = gather(settings, spark), settings.home / SITE
    runs, models = settings.home / "runs", settings.home / "models"
    pages = {report_of(run_id): runs / run_id / REPORT for run_id in data.reports.values()}
    pages |= {list_of(run_id): runs / run_id / LIST for run_id in data.reports.values()}
    if data.list_run:  # the latest report may be of a refused run, which has no list
        pages[list_of(data.list_run.run_id)] = runs / data.list_run.run_id / LIST
    pages |= {
        evaluation_of(version): models / version / EVALUATION for version in data.evaluated_models
    }
    links = site_links(data)
    _sync_pages(site, pages, links)
    if data.has_dbt_docs:
        _insert_navigation(site / DBT_DOCS, DBT_DOCS, links)
    _write(site / MISSING, missing_page(data))
    return _write(site / INDEX, front_page(data))


def _insert_navigation(path: Path, page: str, links: Sequence[Link]) -> None:
    """Insert the bar into a page of the site, in place of an earlier one."""
    html = path.read_text()
    with_bar = insert_navigation(html, format_navigation(links, page))
    if with_bar != html:
        _write(path, with_bar)


def _sync_pages(site: Path, pages: Mapping[str, Path], links: Sequence[Link]) -> None:
    """Copy these pages, keyed by their path in the site, and remove all other runs and models.

    The copies have the bar of links.
    """
    for old in [*site.glob("runs/*"), *site.glob("models/*")]:
        if not any(path.startswith(f"{old.parent.name}/{old.name}/") for path in pages):
            shutil.rmtree(old, ignore_errors=True)
    for path, page in pages.items():
        target = site / path
        # A run of an earlier version has no list, and a list must not be older than its report.
        if not page.exists():
            target.unlink(missing_ok=True)
            continue
        if not target.exists() or target.stat().st_mtime != page.stat().st_mtime:
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(target) as draft:
                shutil.copy2(page, draft)
        if target.suffix == ".html":
            _insert_navigation(target, path, links)
            # Equal times mean that the copy is of this page.
            shutil.copystat(page, target)


def _write(path: Path, page: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as draft:
        draft.write_text(page)
    return path
