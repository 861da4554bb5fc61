"""A campaign from start to close over three sampled extracts, interrupted and repeated."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from campaign_outcomes import enter_outcomes, read_list
from environments import ChurnHome, Environments
from faults import Fault, struck
from monthly import date_of, tables_only
from openpyxl import load_workbook

from churn.pipeline import commands
from churn.provenance import campaign_records as records
from lakehouse import spark_session
from lakehouse.progress import Steps
from lakehouse.sql import query
from trainer.retention_campaign import read_campaign

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


@pytest.mark.long  # in CI, the story starts with what an interrupted start left
def test_an_interrupted_start_is_completed_by_the_next_call(story: Story) -> None:
    # After the commit that makes the campaign valid.
    assert interrupt(story, "start", 6, "after")


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["start", "record"])
def test_a_step_interrupted_at_any_commit_is_completed(story: Story, step: str, when: str) -> None:
    at = 1
    while interrupt(story, step, at, when):
        at += 1
    assert at > 1


def interrupt(story: Story, step: str, at: int, when: str) -> bool:
    """Whether a step met its end at a commit; repeated, it is completed with nothing doubled."""
    name = f"{step}-{at}-{when}"
    out, filled = story.folder / f"{name}.xlsx", story.folder / f"{name}-filled.xlsx"
    start = ("campaign", "start", name, "--top", "10", "--control", "20", "--out", out)
    record = ("campaign", "record", name, filled)
    fault = Fault("client_killed", at, when)
    if step == "start":
        met = struck(story.home, fault, *start).met
        if not out.exists():
            story.home.churn(*start)
        enter_outcomes(out, filled)
        story.home.churn(*record)
    else:
        story.home.churn(*start)
        enter_outcomes(out, filled)
        met = struck(story.home, fault, *record).met
        recorded = story.query(f"select 1 from {records.OUTCOMES} where campaign = '{name}'")
        story.home.churn(*record, code=2 if recorded else 0)
    members = story.members(name)
    called = {*members[members["arm"] == "contacted"]["customer_id"]}
    assert len(members) == members["customer_id"].nunique() == 12 and len(called) == 10
    assert [row["Customer"] for row in read_list(out)] and called == {
        row["Customer"] for row in read_list(out)
    }
    outcomes = story.query(f"select * from {records.OUTCOMES} where campaign = '{name}'")
    assert {row["customer_id"] for row in outcomes} == called and len(outcomes) == 10
    return met


def test_a_campaign_from_start_to_close(story: Story) -> None:  # long: one story
    # An interrupted start has left members, who do not count.
    with spark_session.session(story.home.settings) as spark:
        records.create_tables(spark)
        left = {"campaign": "spring", "customer_id": "gone", "arm": "contacted", "stratum": 1}
        records.append(spark, records.MEMBERS, [left])
    assert f"{TOP} calls" in story.start("spring", "spring.xlsx")
    listed = [row["Customer"] for row in read_list(story.folder / "spring.xlsx")]
    members = story.members("spring")
    control = {*members[members["arm"] == "control"]["customer_id"]}
    assert len(listed) == len({*listed}) == TOP and len(control) == CONTROLS
    assert {*listed} == {*members[members["arm"] == "contacted"]["customer_id"]}
    assert not control & {*listed} and "gone" not in listed

    # Repeated, it leaves the list alone, in which outcomes may be, and writes the same one to
    # another place; with another size, the name is taken.
    written = (story.folder / "spring.xlsx").read_bytes()
    story.start("spring", "spring.xlsx")
    assert (story.folder / "spring.xlsx").read_bytes() == written
    story.start("spring", "again.xlsx")
    assert read_list(story.folder / "again.xlsx") == read_list(story.folder / "spring.xlsx")
    assert len(story.members("spring")) == len(members)
    said = story.start("spring", "other.xlsx", code=2, **{"--top": 10})
    assert "There is a campaign spring already: top 200, control 0.25" in said
    assert "can't be the name" in story.start("Spring!", "other.xlsx", code=2)
    assert not (story.folder / "other.xlsx").exists()

    # A control customer is in no list, and a customer is in one campaign at a time.
    story.home.churn("retention-list", "--top", 100_000, "--out", story.folder / "all.xlsx")
    everyone = {row["Customer"] for row in read_list(story.folder / "all.xlsx")}
    assert {*listed} <= everyone and not everyone & control
    story.start("summer", "summer.xlsx", **{"--top": 50})
    summer = {*story.members("summer")["customer_id"]}
    assert summer and not summer & ({*listed} | control)

    check_recording(story)
    check_closing(story, members)


def check_recording(story: Story) -> None:
    file = story.folder / "filled.xlsx"
    enter_outcomes(story.folder / "spring.xlsx", file)
    said = story.home.churn("campaign", "record", "autumn", file, code=2).stderr
    assert "There is no campaign 'autumn'" in said
    said = story.home.churn("campaign", "record", "summer", file, code=2).stderr
    assert "not of this campaign" in said
    of_spring = f"select * from {records.OUTCOMES} where campaign in ('spring', 'summer')"
    assert story.query(of_spring) == []
    assert "called" in story.home.churn("campaign", "record", "spring", file).stdout
    said = story.home.churn("campaign", "record", "spring", file, code=2).stderr
    assert "was recorded before" in said
    outcomes = story.query(of_spring)
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
    notes = load_workbook(story.folder / "later.xlsx")["Notes"].iter_rows(values_only=True)
    effects = [str(row[1]) for row in notes if row[0] == "Effect of a call"]
    assert effects and "measured in 1 campaign, and 30% assumed before" in effects[0]
    # So does the threshold of the evaluation, whose stored result is not used again.
    effect = commands.read_measured_campaign(story.home.settings, Steps(1)).effect
    assert effect != read_campaign().effect and effect.source in effects[0]
    # The checks of the tables, as an analyst runs them.
    story.home.churn("build", "--select", "tag:campaigns")
    assert json.loads(story.members("spring").to_json())


@pytest.mark.long
def test_an_interrupted_end_is_completed_by_the_next_call(story: Story) -> None:
    """Each campaign that is still open, its end interrupted at each commit."""
    rows = story.query("select campaign from gold.campaigns where status = 'running' order by all")
    assert rows
    for at, row in enumerate(rows, 1):
        close = ("campaign", "close", row["campaign"])
        struck(story.home, Fault("client_killed", at, "after"), *close)
        said = story.home.churn(*close).stdout
        assert "everyone who was to be called" in said
        assert story.home.churn(*close).stdout == said
    closings = story.query(f"select campaign from {records.CLOSINGS} order by all")
    assert len(closings) == len({row["campaign"] for row in closings})
