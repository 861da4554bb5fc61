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
from playwright.sync_api import Browser, sync_playwright

from churn.provenance.run_history import list_runs
from churn.reports.front_page import DBT_DOCS, REPORT
from docsite import badges
from lakehouse.navigation import SITE
from lakehouse.sample_home import demo_environment
from lakehouse.settings import Settings, read_settings

CHURN = Path(sys.executable).with_name("churn")
WIDTH = 1200
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
        _photograph(browser, _find_report(settings).as_uri(), "report.png", 800)
        lineage = f"{(settings.home / SITE / DBT_DOCS).as_uri()}{LINEAGE}"
        # Its labels are small: twice the pixels, and no more height than the graph needs.
        _photograph(browser, lineage, "lineage.png", 420, drawn="canvas", scale=2)
        browser.close()


def _find_report(settings: Settings) -> Path:
    return settings.home / "runs" / list_runs(settings)[-1] / REPORT


def _photograph(
    browser: Browser, address: str, name: str, height: int, drawn: str = "body", scale: int = 1
) -> None:
    """Write the top of a page as a picture, once the element `drawn` is visible."""
    page = browser.new_page(
        viewport={"width": WIDTH, "height": height},
        device_scale_factor=scale,
        color_scheme="light",
    )
    page.goto(address)
    page.locator(drawn).first.wait_for()
    page.wait_for_timeout(SETTLES_MS)
    picture = Image.open(io.BytesIO(page.screenshot()))
    picture.convert("RGB").quantize(COLOURS).save(badges.FOLDER / name, optimize=True)
    page.close()


if __name__ == "__main__":
    main()
