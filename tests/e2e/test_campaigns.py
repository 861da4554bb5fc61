"""A campaign from start to close over three sampled extracts, interrupted and repeated."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from environments import ChurnHome, Environments
from monthly import date_of, tables_only
from openpyxl import load_workbook

from churn.provenance import campaign_records as records
from lakehouse import spark_session
from lakehouse.sql import query

TOP, CONTROL = 200, 25
CONTROLS = 67  # a quarter of 267 customers, so that 200 are called


@dataclass
class Story:
    """A home with the first of three extracts, published and scored."""

    home: ChurnHome
    months: list[Path]
    folder: Path

    def start(self, name: str, file: str, code: int = 0, **changed: Any) -> str:
        size = {"--top": TOP, "--control": CONTROL, **changed}
        options = [str(part) for pair in size.items() for part in pair]
        answer = self.home.churn(
            "campaign", "start", name, *options, "--out", self.folder / file, code=code
        )
        return answer.stdout if code == 0 else answer.stderr

    def query(self, sql: str) -> list[dict[str, Any]]:
        with spark_session.session(self.home.settings) as spark:
            return query(spark, sql)

    def members(self, name: str) -> pd.DataFrame:
        return pd.DataFrame(
            self.query(f"select * from gold.campaign_members where campaign = '{name}'")
        )


@pytest.fixture(scope="module")
def story(environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    home, folder = environments.new("campaigns"), tmp_path_factory.mktemp("lists")
    home.churn("sample", "--rows", 3000, "--months", 3, "--seed", 5, "--out", folder / "in")
    months = sorted((folder / "in").glob("*.xlsx"))
    home.churn("run", months[0], "--extract-date", date_of(months[0]))
    yield Story(home, months, folder)


def rows_of(path: Path) -> list[dict[str, Any]]:
    header, *rows = load_workbook(path)["Customers"].iter_rows(values_only=True)
    return [dict(zip(map(str, header), row, strict=True)) for row in rows]


def enter(path: Path, target: Path) -> None:
    """The outcomes of a team: nine of ten called, two of three of them reached."""
    book = load_workbook(path)
    sheet = book["Customers"]
    headers = [cell.value for cell in sheet[1]]
    for row in range(2, sheet.max_row + 1):
        called, reached, accepted = row % 10 > 0, row % 10 > 0 and row % 3 > 0, row % 3 == 1
        for header, answer in (
            *(("Called", called), ("Reached", reached)),
            ("Accepted", reached and accepted),
        ):
            sheet.cell(row, headers.index(header) + 1).value = "yes" if answer else "no"
    book.save(target)


def test_a_campaign_from_start_to_close(story: Story) -> None:  # long: one story
    # An interrupted start has left members, who do not count.
    with spark_session.session(story.home.settings) as spark:
        records.create_tables(spark)
        left = {"campaign": "spring", "customer_id": "gone", "arm": "contacted", "stratum": 1}
        records.append(spark, records.MEMBERS, [left])
    assert f"{TOP} calls" in story.start("spring", "spring.xlsx")
    listed = [row["Customer"] for row in rows_of(story.folder / "spring.xlsx")]
    members = story.members("spring")
    control = {*members[members["arm"] == "control"]["customer_id"]}
    assert len(listed) == len({*listed}) == TOP and len(control) == CONTROLS
    assert {*listed} == {*members[members["arm"] == "contacted"]["customer_id"]}
    assert not control & {*listed} and "gone" not in listed

    # Repeated, it writes the same list; with another size, the name is taken.
    assert (
        "writing its list again"
        in story.home.churn(
            *("campaign", "start", "spring", "--top", TOP, "--control", CONTROL),
            *("--out", story.folder / "again.xlsx"),
        ).stderr
    )
    assert rows_of(story.folder / "again.xlsx") == rows_of(story.folder / "spring.xlsx")
    assert len(story.members("spring")) == len(members)
    said = story.start("spring", "other.xlsx", code=2, **{"--top": 10})
    assert "There is a campaign spring already: top 200, control 0.25" in said
    assert "can't be the name" in story.start("Spring!", "other.xlsx", code=2)
    assert not (story.folder / "other.xlsx").exists()

    # A control customer is in no list, and a customer is in one campaign at a time.
    story.home.churn("retention-list", "--top", 100_000, "--out", story.folder / "all.xlsx")
    everyone = {row["Customer"] for row in rows_of(story.folder / "all.xlsx")}
    assert {*listed} <= everyone and not everyone & control
    story.start("summer", "summer.xlsx", **{"--top": 50})
    summer = {*story.members("summer")["customer_id"]}
    assert summer and not summer & ({*listed} | control)

    check_recording(story)
    check_closing(story, members)


def check_recording(story: Story) -> None:
    file = story.folder / "filled.xlsx"
    enter(story.folder / "spring.xlsx", file)
    said = story.home.churn("campaign", "record", "autumn", file, code=2).stderr
    assert "There is no campaign autumn" in said
    said = story.home.churn("campaign", "record", "summer", file, code=2).stderr
    assert "not of this campaign" in said
    assert story.query(f"select * from {records.OUTCOMES}") == []
    assert "called" in story.home.churn("campaign", "record", "spring", file).stdout
    said = story.home.churn("campaign", "record", "spring", file, code=2).stderr
    assert "was recorded before" in said
    outcomes = story.query(f"select * from {records.OUTCOMES}")
    assert len(outcomes) == TOP and {row["record_number"] for row in outcomes} == {1}


def check_closing(story: Story, members: pd.DataFrame) -> None:
    said = story.home.churn("campaign", "close", "spring", code=2).stderr
    assert "No extract after" in said and story.query(f"select * from {records.CLOSINGS}") == []
    tables_only(story.home, story.months[1])
    first = story.home.churn("campaign", "close", "spring").stdout
    # Closed once, it does not change with a later extract, and nothing more is recorded.
    tables_only(story.home, story.months[2])
    assert story.home.churn("campaign", "close", "spring").stdout == first
    assert len(story.query(f"select * from {records.CLOSINGS}")) == 1
    said = story.home.churn(
        "campaign", "record", "spring", story.folder / "again.xlsx", code=2
    ).stderr
    assert "is closed" in said

    later = pd.read_excel(story.months[1]).set_index("customerID")["Churn"]
    has_left = [later.get(each, "Yes") == "Yes" for each in members["customer_id"]]
    left = pd.Series(has_left).groupby(members["arm"]).agg(["sum", "count"])
    result = story.query("select * from gold.campaign_results where campaign = 'spring'")
    (whole,) = [row for row in result if row["analysis"] == "intention_to_treat"]
    assert (whole["contacted_left"], whole["contacted"]) == tuple(left.loc["contacted"])
    assert (whole["control_left"], whole["control"]) == tuple(left.loc["control"])
    (reached,) = [row for row in result if row["analysis"] == "per_protocol"]
    assert 0 < reached["contacted"] < whole["contacted"]

    shown = story.home.churn("campaign", "list").stdout
    assert "spring  closed" in shown and "summer  running" in shown
    # From now on, the list counts with what was measured.
    story.home.churn("score")
    story.home.churn("retention-list", "--out", story.folder / "later.xlsx")
    notes = load_workbook(story.folder / "later.xlsx")["Summary"].iter_rows(values_only=True)
    effects = [str(row[1]) for row in notes if row[0] == "Effect of a call"]
    assert effects and "measured in 1 campaign, and 30% assumed before" in effects[0]
    # The checks of the tables, as an analyst runs them.
    story.home.churn("build", "--select", "tag:campaigns")
    assert json.loads(story.members("spring").to_json())
