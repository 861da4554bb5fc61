"""Past runs, rebuilt from bronze and compared with each other."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from environments import ChurnHome, Environments
from monthly import date_of, restated, tables_only

from seeds_loader.sample import SampleParameters, write_samples

CUSTOMERS, MONTHS = 1200, 4


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_runs_of_the_past_are_rebuilt_and_compared(
    environments: Environments, tmp_path: Path
) -> None:
    """Four months, the second one restated after the fourth."""
    home = environments.new("past")
    months = write_samples(SampleParameters(rows=CUSTOMERS, months=MONTHS), tmp_path)
    again = restated(months[1], tmp_path)
    first, second = (run(home, path, date_of(path)) for path in months[:2])
    tables_only(home, *months[2:])
    third = run(home, again, date_of(months[1]))
    before = stand(home)
    assert_identical(home, first, extracts=1)
    # The second month's first version is no longer in gold; the gate's own table still has it.
    assert_told(home, second, [date_of(each) for each in months[:2]])
    assert stand(home) == before
    assert not any((home.path / "scratch").iterdir())
    assert_difference(home, second, third, months[1], again)
    assert_difference(home, first, second, months[0], months[1])


def run(home: ChurnHome, path: Path, day: str) -> dict[str, Any]:
    return home.churn_json("run", path, "--extract-date", day)


def stand(home: ChurnHome) -> Any:
    """Everything that a rebuild must not change."""
    versions = [
        home.sql(f"describe history {table} limit 1")[0]["version"]
        for table in ("bronze.telco_customers", "bronze.loads", "gold.publications")
    ]
    files = sorted(str(each) for each in (home.path / "models").rglob("*"))
    return home.gold(), versions, files


def assert_identical(home: ChurnHome, summary: dict[str, Any], extracts: int) -> None:
    found = home.churn_json("reproduce", summary["run_id"])
    print(found["model"], [(each["table"], each["rows"]) for each in found["gold"]])
    assert found["identical"]
    assert found["differences"] == found["unknown"] == []
    assert len(found["gold"]) == 2 * extracts
    assert all(each["rows"] == CUSTOMERS for each in found["gold"])
    assert found["model"]["rebuilt"] == summary["model"]["version"]
    # seven figures out of fold, seven on the hold-out
    assert found["model"]["figures"] == 14
    assert found["model"]["largest"] <= 1e-9


def assert_told(home: ChurnHome, summary: dict[str, Any], dates: list[str]) -> None:
    """A figure that was another then, by however little, is the one difference that is found."""
    path = home.path / "runs" / summary["run_id"] / "summary.json"
    whole, times = path.read_text(), path.stat()
    told = json.loads(whole)
    told["model"]["roc_auc"] += 1e-8
    path.write_text(json.dumps(told))
    home.call(["touch", "-d", f"@{times.st_mtime}", path], 0)
    found = home.churn_json("reproduce", summary["run_id"], code=1)
    path.write_text(whole)
    assert not found["identical"]
    (difference,) = found["differences"]
    assert difference.startswith("model: roc_auc was ")
    assert found["unknown"] == []
    assert [(each["extract_date"], each["rows"]) for each in found["gold"]] == [
        (day, CUSTOMERS) for day in dates for _ in range(2)
    ]
    places = [each["compared_with"].partition(" ")[0] for each in found["gold"]]
    tables = ("customer_features", "churn_labels")
    assert places == [f"{schema}.{name}" for schema in ("gold", "audit") for name in tables]


def assert_difference(
    home: ChurnHome, first: dict[str, Any], second: dict[str, Any], before: Path, after: Path
) -> None:
    """What `churn diff` says is what pandas finds in the two workbooks."""
    found = home.churn_json("diff", first["run_id"], second["run_id"])
    sheets = [pd.read_excel(path, dtype=str).set_index("customerID") for path in (before, after)]
    gone = sheets[0].index.difference(sheets[1].index)
    new = sheets[1].index.difference(sheets[0].index)
    both = sheets[0].index.intersection(sheets[1].index)
    bills = [sheet.loc[both, "MonthlyCharges"].astype(float) for sheet in sheets]
    rows = found["rows"]
    assert (rows["gone"], rows["new"]) == (len(gone), len(new))
    assert rows["some_gone"] == sorted(gone)[:5]
    features = {each["feature"]: each for each in found["features"]}
    assert features["monthly_charges"]["changed"] == (bills[0] != bills[1]).sum()
    for name, sheet in zip(("mean_before", "mean_after"), sheets, strict=True):
        mean = sheet["MonthlyCharges"].astype(float).mean()
        assert features["monthly_charges"][name] == pytest.approx(mean)
    churned = [(sheet.loc[both, "Churn"] == "Yes") for sheet in sheets]
    assert found["labels"]["changed"] == (churned[0] != churned[1]).sum()
    auc = found["model"]["metrics"]["roc_auc"]
    assert auc["before"] == first["model"]["roc_auc"]
    assert auc["change"] == pytest.approx(second["model"]["roc_auc"] - first["model"]["roc_auc"])
    assert home.churn("diff", first["run_id"], second["run_id"]).stdout
