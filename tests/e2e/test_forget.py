"""A customer in three extracts, a reject, a campaign, a list and a backup is erased everywhere."""

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from byte_search import find_text
from canaries import CANARY, place_canary, read_versions
from deltalake import DeltaTable
from environments import ChurnHome, Environments
from faults import Fault, struck
from monthly import date_of, tables_only
from pyhive import hive

from churn.operations.personal_data import PLACES
from lakehouse.erased_customers import key_file, registry_file
from lakehouse.readers import published_copy, server
from lakehouse.run_lock_file import erasing_file

POINTS, SEED = 30, 20250301
# Folders of a home, and the place that declares them.
PLACE_OF = {
    "landed": "workbooks",
    "runs": "runs",
    "site": "site",
    "logs": "logs",
    "redis": "online store",
    "spark": "temporary files",
}


@dataclass
class Story:
    """A home with three extracts, what was found in it, and copies of it as it was before."""

    home: ChurnHome
    months: list[Path]
    backup: str
    kept: Path
    found: dict[str, int]
    dry: str
    said: str
    proof: dict[str, Any]


@pytest.fixture(scope="module")
def story(environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    home = environments.new("forgetting", is_brief=True)
    folder = tmp_path_factory.mktemp("forgotten")
    home.churn("sample", "--rows", "1200", "--months", "3", "--seed", "5", "--out", folder / "in")
    months = sorted((folder / "in").glob("*.xlsx"))
    place_canary(months, rejected_in=months[1])
    tables_only(home, *months[:2])
    as_a_version_without_erasures_left_it(home)
    home.churn("user", "add", "analyst", "--role", "reader")
    home.churn("run", months[2], "--extract-date", date_of(months[2]))
    arrived = home.path / "landed" / "0123456789abcdef" / months[0].name
    arrived.parent.mkdir(parents=True)
    shutil.copy2(months[0], arrived)
    arrived.parent.with_suffix(".json").write_text('{"taker": "an earlier run"}')
    home.churn("campaign", "start", "spring", "--top", "1000", "--out", folder / "spring.xlsx")
    backup = home.churn("backup", folder / "backups").stdout.partition(":")[0]
    found = find_text(home.path, CANARY)
    home.churn("down")
    kept = folder / "kept"
    shutil.copytree(home.path, kept, symlinks=True)
    dry = home.churn("forget", CANARY, "--dry-run").stdout
    assert find_text(home.path / "lake", CANARY)
    proof = folder / "proof.json"
    answer = home.churn("forget", f" {CANARY}", "--proof", proof)
    yield Story(
        home, months, backup, kept, found, dry, answer.stdout, json.loads(proof.read_text())
    )


def as_a_version_without_erasures_left_it(home: ChurnHome) -> None:
    rows = "select * except (erased_rows) from bronze.loads"
    home.sql(f"create or replace table bronze.loads using delta as {rows}")


def name_place(path: str) -> str:
    """The place that declares a file of a home."""
    first, *rest = path.split("/")
    if path.startswith(f"lake/{published_copy.FOLDER}/"):
        return "copies for readers"
    if first == "lake":
        return ".".join(rest[:2])
    if first == "models":
        return "decile boundaries" if rest[-1] == "deciles.json" else "out-of-fold rows"
    return PLACE_OF[first]


def test_no_byte_of_the_home_names_the_customer(story: Story) -> None:
    assert find_text(story.home.path, CANARY) == {}
    assert published_copy.list_copies(story.home.settings) == []
    assert CANARY not in story.said + json.dumps(story.proof)
    assert story.backup in story.said


def test_the_list_of_places_is_what_a_search_finds(story: Story) -> None:
    declared = {place.name for place in PLACES}
    searched = {name_place(path) for path in story.found}
    assert searched <= declared
    tables = {place.name for place in PLACES if "." in place.name}
    assert searched >= (tables | {"copies for readers"}) - {"bronze.campaign_outcomes"}
    counted = {place["place"]: place["found"] for place in story.proof["places"]}
    # Temporary files can't be read, only removed.
    assert all(counted[name] > 0 for name in searched - {"temporary files"})
    assert all(place["remaining"] == 0 for place in story.proof["places"])
    assert set(counted) == declared
    assert f"bronze.telco_customers: {counted['bronze.telco_customers']}" in story.dry


def test_the_others_are_as_before_in_every_version(story: Story) -> None:
    before, after = read_versions(story.kept / "lake"), read_versions(story.home.path / "lake")
    assert before.keys() <= after.keys()
    assert {name for name in before if before[name] != after[name]} == set()
    story.home.churn("up")  # It was down before the erasure, and stays so.
    counts = story.home.sql(
        """
        select row_count, erased_rows, bronze_rows, silver_rows, rejected_rows, customers
        from bronze.loads
        inner join silver.load_counts using (batch_id)
        inner join gold.publications using (batch_id)
        order by loads.extract_date
        """
    )
    assert [tuple(row.values()) for row in counts] == [
        (1199, 1, 1199, 1199, 0, 1199),
        (1199, 2, 1199, 1199, 0, 1199),
        (1199, 1, 1199, 1199, 0, 1199),
    ]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_reproduction_reports_the_gap(story: Story) -> None:
    (run_id,) = (path.name for path in (story.home.path / "runs").glob("*"))
    found = story.home.churn_json("reproduce", run_id)
    # Three extracts and a reject, of all loads that the run had before it.
    assert found["erased_rows"] == 4 and found["differences"] == []


def test_nothing_brings_the_customer_back(story: Story, tmp_path: Path) -> None:
    """The same workbook, a rebuild, a restatement; the online store still equals gold."""
    again = story.home.churn_json(
        "run", story.months[-1], "--extract-date", date_of(story.months[-1])
    )
    assert again["unchanged"] and again["counts"]["gold"] == 1199
    story.home.churn("build", "--rebuild")
    restated = tmp_path / "restated.xlsx"
    book = openpyxl.load_workbook(story.months[-1])
    sheet = book.active
    assert sheet is not None
    sheet.cell(2, 2).value = "Female" if sheet.cell(2, 2).value == "Male" else "Male"
    book.save(restated)
    summary = story.home.churn_json("run", restated, "--extract-date", date_of(story.months[-1]))
    assert summary["counts"]["gold"] == summary["counts"]["online_verified"] == 1199
    assert story.home.value("select max_by(erased_rows, load_number) from bronze.loads") == 1
    story.home.churn("trace", CANARY, code=2)
    # Each run has written the readers' copies again.
    assert "gold.customer_features" in published_copy.list_copies(story.home.settings)
    assert find_text(story.home.path / "lake", CANARY) == {}
    assert find_text(story.home.path / "redis", CANARY) == {}


@pytest.mark.long  # CI loads the same workbook and a restatement, and rebuilds
def test_a_restored_backup_is_without_the_customer(
    story: Story, environments: Environments
) -> None:
    home = environments.new("restored_without")
    for file in (registry_file(story.home.settings), key_file(story.home.settings)):
        copy = home.path / file.relative_to(story.home.path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy)
    assert find_text(Path(story.backup), CANARY)
    answer = home.churn("restore", story.backup)
    assert "customers who were erased and are left out: 1" in answer.stderr
    assert find_text(home.path, CANARY) == {}
    assert home.value("select count(*) from gold.customer_features") == 3 * 1199


def copy_of(story: Story, home: ChurnHome) -> ChurnHome:
    """A home as it was before the erasure, in which no server runs."""
    shutil.rmtree(home.path)
    shutil.copytree(story.kept, home.path, symlinks=True)
    return home


def require_erased(story: Story, home: ChurnHome) -> None:
    """The state that an undisturbed call leads to: no trace, the counts, all others."""
    assert find_text(home.path, CANARY) == {}
    assert not erasing_file(home.settings).exists()
    after = read_versions(home.path / "lake")
    assert after == read_versions(story.kept / "lake")
    proof = home.path / "proof.json"
    proof.unlink(missing_ok=True)
    home.churn("forget", CANARY, "--proof", proof)
    assert all(place["found"] == 0 for place in json.loads(proof.read_text())["places"])
    loads = DeltaTable(home.path / "lake" / "bronze" / "loads").to_pandas()
    counts = loads.sort_values("extract_date")[["row_count", "erased_rows"]].to_numpy().tolist()
    assert counts == [[1199, 1], [1199, 2], [1199, 1]]


def strike(story: Story, home: ChurnHome, point: tuple[int, str]) -> None:
    """Kill the command at a commit, and repeat it."""
    copy_of(story, home)
    try:
        outcome = struck(home, Fault("client_killed", *point), "forget", CANARY)
        # The number of commits differs by a few from call to call: it may have completed.
        assert outcome.met or outcome.code == 0, f"{point}: {outcome.said}"
        if erasing_file(home.settings).exists():
            assert "An erasure" in home.churn("features", "materialize", code=2).stderr
            home.churn("forget")
        else:
            home.churn("forget", CANARY)
        require_erased(story, home)
    finally:
        home.end()


def draw_points(story: Story, home: ChurnHome, count: int) -> list[tuple[int, str]]:
    """Draw commits of an undisturbed call, without repetition."""
    copy_of(story, home)
    commits = struck(home, Fault(), "forget", CANARY).commits
    home.end()
    possible = [(at, when) for at in range(1, len(commits) + 1) for when in ("before", "after")]
    return random.Random(SEED).sample(possible, count)


def test_an_interrupted_erasure_is_completed(story: Story, environments: Environments) -> None:
    home = environments.new("interrupted_erasure", is_brief=True)
    (point,) = draw_points(story, home, 1)
    strike(story, home, point)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_erasures_interrupted_at_drawn_points(story: Story, environments: Environments) -> None:
    home = environments.new("interrupted_erasures")
    for point in draw_points(story, home, POINTS):
        strike(story, home, point)


@pytest.mark.long  # the last one here: it erases another customer
def test_the_readers_server_starts_again_without_the_customer(story: Story) -> None:
    home, table = story.home, "gold.customer_features"
    key = home.churn("user", "add", "second", "--role", "reader").stdout.strip()
    home.churn("up", "--readers")
    before = server.service(home.settings).find()
    tables = published_copy.list_copies(home.settings)
    customer = home.value(f"select min(customer_id) from {table}")
    assert find_text(home.path / "lake" / published_copy.FOLDER, customer)
    home.churn("forget", customer)
    after = server.service(home.settings).find()
    assert before is not None and after is not None and after.pid != before.pid
    assert published_copy.list_copies(home.settings) == tables
    assert find_text(home.path / "lake", customer) == {}
    port = home.settings.reader_thrift_port
    with hive.connect("127.0.0.1", port, username="second", password=key, auth="CUSTOM") as reader:
        cursor = reader.cursor()
        cursor.execute(f"select count(*), count_if(customer_id = '{customer}') from {table}")
        assert cursor.fetchall() == [(home.value(f"select count(*) from {table}"), 0)]
