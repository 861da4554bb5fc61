"""The order in which extracts arrive changes nothing in gold, online or in the verdicts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date
from pathlib import Path
from typing import Any

import pytest
from environments import ChurnHome, Environments
from feast import FeatureStore
from monthly import date_of, restated, tables_only
from reference import times, truth_of

from feature_repo.feature_definitions import read_feature_columns
from feature_repo.feature_store import configuration
from lakehouse import online_store

Step = Callable[[ChurnHome, Path], None]
DRIFT_OF_ORDINARY_MONTHS = 0.1
ONLINE_BATCH = 500


@dataclass(frozen=True)
class Stand:
    """What users of the project see: gold without the loads' times, and every online value."""

    features: list[dict[str, Any]]
    labels: list[dict[str, Any]]
    online: list[dict[str, Any]]


def stand(home: ChurnHome) -> Stand:
    features, labels = home.gold()
    customers = sorted({row["customer_id"] for row in features})
    return Stand(features, labels, online_values(home, customers))


def worked_out(paths: list[Path]) -> Stand:
    """What must stand after workbooks without faults, in the order of their dates."""
    features: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    online: dict[str, dict[str, Any]] = {}
    for path in paths:
        truth = truth_of(path)
        of = times(date.fromisoformat(date_of(path)))
        of["event_timestamp"] = of["event_timestamp"].replace(tzinfo=UTC)
        online = {customer: dict.fromkeys(row) for customer, row in online.items()}
        for customer in sorted(truth.standing):
            row = truth.customer(truth.standing[customer][0])
            labels.append({"customer_id": customer, **of, "churned": row.pop("churned")})
            features.append({"customer_id": customer, **of, **row})
            online[customer] = row
    return Stand(
        features,
        labels,
        [{**row, "customer_id": customer} for customer, row in sorted(online.items())],
    )


def online_values(home: ChurnHome, customers: list[str]) -> list[dict[str, Any]]:
    """All online features of the customers, those who are not online included."""
    address = online_store.ensure_running(home.settings, lambda _: None)
    store = FeatureStore(config=configuration(home.settings, address))
    rows = []
    for start in range(0, len(customers), ONLINE_BATCH):
        answer = store.get_online_features(
            features=store.get_feature_service("churn"),
            entity_rows=[{"customer_id": each} for each in customers[start : start + ONLINE_BATCH]],
        ).to_dict()
        names = list(answer)
        rows += [dict(zip(names, row, strict=True)) for row in zip(*answer.values(), strict=True)]
    return rows


def assert_same(left: Stand, right: Stand) -> None:
    for part in ("features", "labels", "online"):
        ours, theirs = getattr(left, part), getattr(right, part)
        assert len(ours) == len(theirs), part
        differing = [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]]
        assert not differing, (part, len(differing), differing[0])


def assert_online_is_the_latest_extract(there: Stand) -> None:
    """The equality of two homes would hold as well if nothing were online in either."""
    latest = max(row["extract_date"] for row in there.features)
    names = [feature.name for feature in read_feature_columns()]
    published = {row["customer_id"]: row for row in there.features if row["extract_date"] == latest}
    assert len(published) < len(there.online)
    for seen in there.online:
        row = published.get(seen["customer_id"], dict.fromkeys(names))
        assert {name: seen[name] for name in names} == {name: row[name] for name in names}


def assert_unremarkable(home: ChurnHome, dates: int) -> None:
    """Every verdict is passed, and no feature drifts as far as to be worth a warning."""
    judged = home.sql("select * from audit.gate_results")
    odd = [row for row in judged if row["verdict"] in ("failed", "warned", "expected")]
    assert not odd
    assert home.value("select count(distinct extract_date) from gold.publications") == dates
    assert home.sql("select * from audit.load_verdicts where verdict = 'refused'") == []
    drift = [
        row for row in judged if row["rule"].startswith("drift_") and row["figure"] is not None
    ]
    # the first extract of a home has none to be compared with
    assert len({row["extract_date"] for row in drift}) >= dates - 1
    worst = max(drift, key=lambda row: row["figure"])
    print(f"worst drift: {worst['rule']} {worst['figure']:.4f} on {worst['extract_date']}")
    assert worst["figure"] < DRIFT_OF_ORDINARY_MONTHS, worst


def whole(home: ChurnHome, path: Path) -> None:
    home.churn("run", path, "--extract-date", date_of(path))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_restated_and_a_late_extract_end_as_their_workbooks_say(
    environments: Environments, months: list[Path], tmp_path: Path
) -> None:
    """The later month first, given otherwise; then set right, together with the one before it."""
    home = environments.new("backwards")
    first, second = months[:2]
    tables_only(home, restated(second, tmp_path))
    home.churn("features", "materialize")
    tables_only(home, first, second)
    home.churn("features", "materialize")
    there = stand(home)
    assert_same(there, worked_out([first, second]))
    assert_online_is_the_latest_extract(there)
    assert_unremarkable(home, 2)
    home.churn("down")


@pytest.fixture(scope="module")
def year_in_order(environments: Environments, months: list[Path]) -> Stand:
    return after(environments.new("in_order"), months)


def after(home: ChurnHome, paths: list[Path]) -> Stand:
    """What stands after a whole run on each of the workbooks."""
    for path in paths:
        whole(home, path)
    there = stand(home)
    assert_online_is_the_latest_extract(there)
    assert_unremarkable(home, 12)
    home.churn("down")
    return there


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_year_in_reverse_ends_as_in_order(
    environments: Environments, months: list[Path], year_in_order: Stand
) -> None:
    assert len(months) == 12
    assert_same(year_in_order, after(environments.new("reverse"), months[::-1]))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_year_with_a_restated_month_ends_as_in_order(
    environments: Environments, months: list[Path], year_in_order: Stand, tmp_path: Path
) -> None:
    """The sixth month is given otherwise first, and set right when the ninth is there."""
    sixth = restated(months[5], tmp_path)
    paths = [*months[:5], sixth, *months[6:9], months[5], *months[9:]]
    assert_same(year_in_order, after(environments.new("restated"), paths))
