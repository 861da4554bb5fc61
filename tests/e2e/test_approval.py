"""A refused load that a person approves by command: published, once, and reproduced.

test_rules.py has the gate's part of it in each run of the tests, test_airflow.py the browser's.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from environments import ChurnHome, Environments
from killed import kill_at
from monthly import cut_off, date_of

from lakehouse import audit_log
from seeds_loader.sample import SampleParameters, write_samples

# Four runs and a rebuild.
pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
CUSTOMERS, LEFT = 1500, 1050
REASON = "a region was sold"


@pytest.fixture(scope="module")
def home(environments: Environments) -> Iterator[ChurnHome]:
    home = environments.new("approval")
    yield home
    home.churn("down")


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """An ordinary month, one with a third fewer customers, and one with far too few."""
    folder = tmp_path_factory.mktemp("months")
    paths = write_samples(SampleParameters(rows=CUSTOMERS, months=3), folder)
    return [paths[0], cut_off(paths[1], folder, LEFT), cut_off(paths[2], folder, 300)]


def dated(path: Path) -> list[str | Path]:
    """A workbook that was cut off, with its own date: in the file it is that of the cut."""
    return [path, "--extract-date", date_of(path)]


def approvals_of(home: ChurnHome, batch: str) -> list[dict[str, Any]]:
    return home.sql(
        "select rule, verdict, reason, figure from audit.gate_results "
        f"where batch_id = '{batch}' and approver is not null order by verdict_number"
    )


def test_an_approved_load_is_published_once_and_reproduced(
    home: ChurnHome, months: list[Path]
) -> None:
    home.churn("run", months[0])
    refused = home.churn_json("run", *dated(months[1]), code=3)
    batch = refused["batch_id"]
    assert [each["verdict"] for each in refused["gate"]["attention"]] == ["failed"]
    command = ["approve", batch, "--reason", REASON]
    kill_at(home, command, "2/11 approve")
    said = home.churn("approve", batch, "--reason", "another reason")
    assert "approved before; completing what is missing" in said.stderr
    assert "gate passed" in said.stdout and f"{LEFT:,} online and equal" in said.stdout

    rows = approvals_of(home, batch)
    assert [row["verdict"] for row in rows] == ["pending", "expected"]
    assert {(row["rule"], row["reason"]) for row in rows} == {("rows_not_lost", REASON)}
    assert rows[0]["figure"] == pytest.approx(LEFT / CUSTOMERS - 1, abs=0.05)
    logged = audit_log.audit_file(home.settings).read_text()
    assert logged.count('"action": "approval"') == 1 and batch in logged
    said = home.churn(*command, code=2)
    assert "was approved by" in said.stderr and REASON in said.stderr
    assert approvals_of(home, batch) == rows

    run_id = max(path.name for path in (home.path / "runs").iterdir())
    found = home.churn_json("reproduce", run_id)
    assert found["differences"] == [] and found["identical"], found


def test_a_load_that_fails_by_itself_cant_be_approved(home: ChurnHome, months: list[Path]) -> None:
    batch = home.churn_json("run", *dated(months[2]), code=3)["batch_id"]
    said = home.churn("approve", batch, "--reason", "why not", code=2)
    assert "can't be approved" in said.stderr and "minimum_customers" in said.stderr
    assert approvals_of(home, batch) == []
    said = home.churn("run", *dated(months[1]))
    assert "unchanged" in said.stdout
    assert date_of(months[1]) in {
        str(row["extract_date"]) for row in home.sql("select extract_date from gold.publications")
    }
