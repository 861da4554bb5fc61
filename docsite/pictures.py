"""Make the pictures of the README: `make pictures`.

The badges are drawn from pyproject.toml. The report and the lineage are photographed in Chromium,
in the demo's home; the demo runs first if it has not run yet.
"""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from churn.provenance.run_history import list_runs
from churn.reports.front_page import DBT_DOCS, REPORT
from docsite import badges
from lakehouse.navigation import SITE
from lakehouse.sample_home import demo_environment
from lakehouse.settings import Settings, read_settings

CHURN = Path(sys.executable).with_name("churn")
WIDTH = 1200
# A README is about 800 pixels wide: the lineage is photographed at that size, with more pixels.
SHOWN_WIDTH, SCALE = 800, 3
# Pixels of a label's height at that width, below which it can't be read.
SMALLEST_LABEL = 11
# Few colours suffice for text and flat areas, and make the files small.
COLOURS = 64
# The graph moves into place after it was drawn.
SETTLES_MS = 3000
# The way from the workbook to its users; all tables of the gate would be too small to read.
SHOWN = (
    *("source:bronze.telco_customers", "stg_telco__customers", "rejected_rows", "customers"),
    *("audit_customer_features", "audit_churn_labels", "customer_features", "churn_labels"),
    *("source:scores.churn_scores", "exposure:rejects_workbook", "exposure:churn_feature_service"),
    *("exposure:churn_model", "exposure:scoring_api", "exposure:risk_list"),
)
LINEAGE = f"#!/overview?g_v=1&g_i={quote(' '.join(SHOWN))}"
# The graph alone, from top to bottom: from left to right its seven columns would be too wide for
# labels that can be read. The last line of the page remains for the mark of the sample.
GRAPH_STYLE = """
body > .site-nav { display: none !important; }
.launcher-window { position: static !important; }
#cy { position: fixed !important; inset: 0 0 24px; height: auto !important;
  background: #005e7a; z-index: 9; }
"""
# Return the height of a label.
ARRANGE_GRAPH = """() => {
  const graph = document.querySelector("#cy")._cyreg.cy;
  const [curve, ends, line] = ["bezier", "outside-to-node", "#7fc4d6"];
  graph.resize();
  graph.nodes().style({"font-weight": "normal", "text-outline-width": 0});
  graph.edges().style({"curve-style": curve, "source-endpoint": ends, "target-endpoint": ends,
    "line-color": line, "target-arrow-color": line, "z-compound-depth": "bottom"});
  graph.layout({name: "dagre", rankDir: "TB", rankSep: 50, nodeSep: 20, padding: 15}).run();
  return graph.zoom() * parseFloat(graph.nodes()[0].style("font-size"));
}"""


def main() -> None:
    """Write all pictures."""
    badges.write()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("the badges are drawn; the other pictures require Chromium")
    settings = read_settings({**os.environ, **demo_environment(read_settings())})
    if not list_runs(settings):
        subprocess.run([CHURN, "demo"], check=True)
    subprocess.run([CHURN, "--demo", "docs", "--no-serve"], check=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        # As high as the headline and the first customers to call are.
        report = _open(browser, _find_report(settings).as_uri(), WIDTH, 1220)
        _save(report, "report.png")
        photograph_lineage(browser, settings.home / SITE / DBT_DOCS, badges.FOLDER)
        browser.close()


def _find_report(settings: Settings) -> Path:
    return settings.home / "runs" / list_runs(settings)[-1] / REPORT


def photograph_lineage(browser: Browser, docs: Path, folder: Path) -> None:
    """Write the lineage of a page of dbt docs as a picture, and end if its labels are too small."""
    page = _open(browser, f"{docs.as_uri()}{LINEAGE}", SHOWN_WIDTH, 420, "canvas", SCALE)
    page.add_style_tag(content=GRAPH_STYLE)
    height = page.evaluate(ARRANGE_GRAPH)
    if height < SMALLEST_LABEL:
        sys.exit(f"labels of the lineage are {height:.1f} pixels high; show fewer tables")
    page.wait_for_timeout(SETTLES_MS)
    _save(page, "lineage.png", folder)


def _open(
    browser: Browser, address: str, width: int, height: int, drawn: str = "body", scale: int = 1
) -> Page:
    """Return a page once the element `drawn` of it is visible and in place."""
    page = browser.new_page(
        viewport={"width": width, "height": height},
        device_scale_factor=scale,
        color_scheme="light",
    )
    page.goto(address)
    page.locator(drawn).first.wait_for()
    page.wait_for_timeout(SETTLES_MS)
    return page


def _save(page: Page, name: str, folder: Path = badges.FOLDER) -> None:
    """Write the visible part of a page as a picture, and close the page."""
    picture = Image.open(io.BytesIO(page.screenshot()))
    picture.convert("RGB").quantize(COLOURS).save(folder / name, optimize=True)
    page.close()


if __name__ == "__main__":
    main()
