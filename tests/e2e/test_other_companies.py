"""Other companies' workbooks: drafted by `churn init`, then the whole way with no line edited."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from api import start
from documented_commands import OWN_WORKBOOK, shell_lines
from environments import BIN, ChurnHome, Environments
from openpyxl import load_workbook
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from lakehouse.domain import PROJECT, read_domain
from serving import keys
from trainer import registry

FOREIGN = PROJECT.parent / "shared" / "foreign"
DAY = "2025-12-03"


@dataclass(frozen=True)
class Company:
    """A workbook, and what is known of it."""

    workbook: str
    customers: int
    options: tuple[str, ...] = ()
    has_value: bool = False


COMPANIES = [
    Company("bank_with_dashboard.xlsx", 10_000),
    pytest.param(Company("orange_churn.xlsx", 3333), marks=pytest.mark.long),
    pytest.param(
        Company("telecom_weeks_without_id.xlsx", 3333, ("--id", "none"), has_value=True),
        marks=pytest.mark.long,
    ),
]


@pytest.mark.parametrize("company", COMPANIES, ids=lambda company: company.workbook)
def test_from_the_workbook_to_list_and_answer(
    environments: Environments, tmp_path: Path, company: Company
) -> None:
    workbook = FOREIGN / company.workbook
    if not workbook.exists():
        pytest.skip("the other companies' workbooks are not here")
    domain = tmp_path / "domain"
    plain = environments.new("company", is_brief=True)
    init, export, run, listing, serve, build = shell_lines(OWN_WORKBOOK)
    home = replace(plain, environ=plain.environ | {"CHURN_DOMAIN": str(domain)})
    places = {"customers.xlsx": workbook, "domains/mine": domain, "list.xlsx": tmp_path / "l.xlsx"}
    follow(home, init, places, "--yes", *company.options)
    assert export.startswith("export CHURN_DOMAIN=") and serve == "churn serve"
    follow(home, run, places, "--extract-date", DAY)
    summary = json.loads(next((home.path / "runs").glob("*/summary.json")).read_text())
    counts = summary["counts"]
    assert counts["bronze"] == counts["gold"] == counts["scored"] == company.customers
    assert counts["online_verified"] == company.customers
    compare_with_scikit_learn(home, summary["model"])
    follow(home, listing, places)
    customer = read_list(tmp_path / "l.xlsx", company)
    follow(home, build, {".churn-mine": home.path, "--profiles-dir .": f"--profiles-dir {PROJECT}"})
    assert "score" in home.churn("trace", customer).stdout
    answer_over_http(home, customer, tmp_path / "api.log")
    home.churn("down")


def follow(home: ChurnHome, line: str, places: dict[str, Any], *options: str) -> None:
    """Run a line of the tutorial, with this test's places in it."""
    for written, place in places.items():
        line = line.replace(written, str(place))
    written = {"DBT_TARGET_PATH": str(home.path / "target"), "DBT_LOG_PATH": str(home.path)}
    path = f"{BIN}:{home.environ['PATH']}"
    home.call(["bash", "-c", " ".join([line, *options])], code=0, PATH=path, **written)


def compare_with_scikit_learn(home: ChurnHome, model: dict[str, Any]) -> None:
    """The same rows, features and folds, with trees that are grown outside of Spark."""
    settings = home.settings
    place = f"{registry.pipeline(settings, model['version'])}/{registry.OUT_OF_FOLD}"
    predicted = pd.read_parquet(place).set_index("customer_id")
    with_features = pd.DataFrame(home.sql("select * from gold.customer_features"))
    with_features = with_features.set_index("customer_id").loc[predicted.index]
    times = ["event_timestamp", "created_timestamp", "extract_date"]
    features = with_features.drop(columns=times)
    chances = pd.Series(0.0, index=predicted.index)
    for part in predicted["part"].unique():
        held_out = predicted["part"] == part
        trees = GradientBoostingClassifier(random_state=0)
        trees.fit(features[~held_out], predicted["churned"][~held_out])
        chances[held_out] = trees.predict_proba(features[held_out])[:, 1]
    ours = roc_auc_score(predicted["churned"], predicted["probability"])
    theirs = roc_auc_score(predicted["churned"], chances)
    print(f"ROC-AUC out of fold {ours:.4f}, scikit-learn {theirs:.4f}")
    assert ours > theirs - 0.01


def read_list(path: Path, company: Company) -> str:
    """The list states amounts only where the workbook has them; its first customer."""
    rows = list(load_workbook(path)["Customers"].iter_rows(values_only=True))
    headers = list(rows[0])
    assert ("Expected value" in headers) == company.has_value
    assert "Proposed offer" not in headers, "the domain has no offers"
    assert all(row[headers.index("Reason 1")] for row in rows[1:])
    chances = [float(row[headers.index("Probability of leaving")]) for row in rows[1:]]
    if not company.has_value:
        assert chances == sorted(chances, reverse=True)
    return str(rows[1][headers.index("Customer")])


def answer_over_http(home: ChurnHome, customer: str, log: Path) -> None:
    environ = {**home.environ, "CHURN_API_RATE": "1000"}
    example = read_domain(Path(home.environ["CHURN_DOMAIN"])).report.what_if_example
    api = start(environ, keys.new(home.settings, "tests"), log)
    try:
        before = api.churn(customer).json
        answer = api.what_if(customer, **example)
    finally:
        api.end()
    assert 0 < before["probability"] < 1 and before["reasons"]
    assert answer.status == 200, answer.text
    assert answer.json["before"]["probability"] == before["probability"]
    assert 0 < answer.json["after"]["probability"] < 1
