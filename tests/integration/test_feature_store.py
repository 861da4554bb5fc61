"""The feature store after a run: what `verify` finds, what mends it, and Feast's own site."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import BIN, Walked, served
from playwright.sync_api import expect, sync_playwright

from feature_repo.layout import redis_key
from lakehouse import online_store

CHROMIUM = shutil.which("chromium")
SOMEBODY = "7590-VHVEG"


@pytest.fixture
def client(walked: Walked) -> Iterator[online_store.Client]:
    """A client of the home's online store, which is whole again afterwards."""
    with online_store.ensure(walked.home.settings, lambda _: None).client() as client:
        yield client
    walked.home.churn("features", "materialize", "--all")


def verified(walked: Walked, code: int) -> list[dict[str, object]]:
    answer = walked.home.churn("features", "verify", "--json", code=code)
    found: list[dict[str, object]] = json.loads(answer.stdout)["differences"]
    return found


def test_what_verify_finds_is_named_and_the_next_materialization_mends_it(
    walked: Walked, client: online_store.Client
) -> None:
    client.copy(redis_key(SOMEBODY), redis_key("NOBODY"))
    client.unlink(redis_key(SOMEBODY))
    found = verified(walked, code=1)
    assert [tuple(each.values()) for each in found] == [
        (SOMEBODY, "customer_id", SOMEBODY, None),
        ("NOBODY", "customer_id", None, "NOBODY"),
    ]
    # As many keys as before: only by what was found is it known that something is amiss.
    assert "wrote 7,043" in walked.home.churn("features", "materialize").stderr
    assert verified(walked, code=0) == []
    assert "wrote 0 customers" in walked.home.churn("features", "materialize").stderr


@pytest.fixture
def site(walked: Walked, tmp_path: Path) -> Iterator[str]:
    """The address of Feast's site."""
    command: list[str | Path] = [BIN / "churn", "features", "ui"]
    with served(walked.home, command, "CHURN_FEAST_UI_PORT", tmp_path / "site.log") as address:
        yield address


def test_feasts_site_shows_what_is_declared(site: str, tmp_path: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(f"{site}/p/churn/feature-view/customer_features")
        expect(page.get_by_text("monthly_charges").first).to_be_visible(timeout=30_000)
        page.goto(f"{site}/p/churn/feature-view/customer_features/feature/tenure")
        expect(page.get_by_text("INT32").first).to_be_visible(timeout=30_000)
        page.screenshot(path=tmp_path / "feature-view.png")
        browser.close()
