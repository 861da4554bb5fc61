"""The scoring API's parts that need no online store: keys, limits, models, what-if, the gate."""

import ast
import json
import logging
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from model_records import a_record
from starlette.testclient import TestClient

from feature_repo.feature_definitions import read_feature_columns
from feature_repo.online.redis_layout import redis_key
from lakehouse.errors import InvalidInputError
from lakehouse.key_store import Keys, hash_key
from lakehouse.metrics_file import metrics_file
from lakehouse.settings import PROJECT, Settings, read_settings
from serving import docs_page, keys, what_if
from serving.app import application
from serving.errors import ProblemError
from serving.metrics import Metrics
from serving.middleware import LARGEST_BODY
from serving.models import Models
from serving.rate_limit import Limits
from serving.server import client_of
from trainer import deciles, registry
from trainer.deciles import Boundary, Deciles
from trainer.portable_model import LinearModel
from trainer.record import ModelRecord

FEATURES = [each.name for each in read_feature_columns()]
BOUNDS = Deciles("2025-12-03", "b", 10, tuple(Boundary(k, k / 10, "x") for k in range(1, 11)))


def a_model(version: str) -> ModelRecord:
    inputs = [*FEATURES, "log1p_tenure"]
    form = LinearModel(-1.0, dict.fromkeys(inputs, 0.1), dict.fromkeys(inputs, 0.5))
    return a_record(form, FEATURES, version=version)


def store(settings: Settings, version: str, scored: bool = True) -> Path:
    """Lay a version down; as one that was scored with."""
    place = registry.folder(settings) / version
    with registry.draft(settings, version) as drafted:
        registry.publish(settings, drafted, a_model(version))
    if scored:
        deciles.write(place, BOUNDS)
    return place


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(project=PROJECT, home=tmp_path, lake_uri=str(tmp_path / "lake"), landing="")


# --- keys ------------------------------------------------------------------------------------


def test_a_key_is_kept_as_its_hash_alone(settings: Settings) -> None:
    key = keys.new(settings, "retention-team")
    assert len(key) > 40
    (file,) = keys.folder(settings).iterdir()
    assert key not in file.read_text()
    assert hash_key(key) in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.folder(settings).stat().st_mode) == 0o700


def test_keys_are_good_until_they_are_revoked(settings: Settings) -> None:
    good = Keys(keys.folder(settings))
    assert good.owner(b"") is None
    one, other = keys.new(settings, "one"), keys.new(settings, "other")
    assert (good.owner(one.encode()), good.owner(other.encode())) == ("one", "other")
    assert good.owner(one.encode() + b"x") is None
    assert good.owner(hash_key(one).encode()) is None
    keys.revoke(settings, "one")
    assert good.owner(one.encode()) is None
    assert good.owner(other.encode()) == "other"
    assert keys.names(settings) == ["other"]


def test_a_key_is_revoked_within_a_tick_of_the_clock_too(settings: Settings) -> None:
    good = Keys(keys.folder(settings))
    key = keys.new(settings, "one")
    assert good.owner(key.encode()) == "one"
    made = keys.folder(settings).stat()
    keys.revoke(settings, "one")
    os.utime(keys.folder(settings), ns=(made.st_atime_ns, made.st_mtime_ns))
    assert good.owner(key.encode()) is None


@pytest.mark.parametrize("name", ["", "../x", "A", "a b", "-a", "a" * 41, "a/b", "a\n"])
def test_a_name_that_is_none_gets_no_key(settings: Settings, name: str) -> None:
    with pytest.raises(InvalidInputError, match="not a valid name"):
        keys.new(settings, name)


def test_nobody_gets_two_keys(settings: Settings) -> None:
    keys.new(settings, "one")
    with pytest.raises(InvalidInputError, match="has a key"):
        keys.new(settings, "one")
    with pytest.raises(InvalidInputError, match="has no key"):
        keys.revoke(settings, "other")


def test_a_damaged_key_file_is_a_key_that_is_not_good(settings: Settings) -> None:
    key = keys.new(settings, "one")
    (keys.folder(settings) / "broken.json").write_text('{"sha256"')
    (keys.folder(settings) / "list.json").write_text("[]")
    assert Keys(keys.folder(settings)).owner(key.encode()) == "one"
    assert Keys(keys.folder(settings)).owner(b"None") is None


# --- limits ----------------------------------------------------------------------------------


def test_a_bucket_empties_and_fills() -> None:
    time = 0.0
    limits = Limits(rate=10, burst=20, clock=lambda: time)
    assert limits.take("a", 20) == 0
    assert limits.take("a") == 1
    assert limits.take("a", 15) == 2
    assert limits.take("b") == 0
    time = 0.5
    assert limits.take("a", 5) == 0
    assert limits.take("a") == 1
    time = 100.0
    assert limits.take("a", 20) == 0
    assert limits.take("a") == 1


def test_the_rate_is_a_setting(tmp_path: Path) -> None:
    assert read_settings({"CHURN_API_RATE": "7"}, tmp_path).api_rate == 7
    assert read_settings({}, tmp_path).api_bind == "127.0.0.1"
    with pytest.raises(InvalidInputError, match="customers a second"):
        read_settings({"CHURN_API_RATE": "0"}, tmp_path)


# --- models ----------------------------------------------------------------------------------


def at_work(models: Models) -> str | None:
    model = models.current()
    return model.version if model else None


def test_a_champion_is_taken_up_once_it_was_scored_with(settings: Settings) -> None:
    models = Models(settings)
    assert at_work(models) is None
    place = store(settings, "20251203-00000001", scored=False)
    registry.promote(settings, "20251203-00000001")
    assert at_work(models) is None
    deciles.write(place, BOUNDS)
    assert at_work(models) == "20251203-00000001"

    store(settings, "20251203-00000002")
    assert at_work(models) == "20251203-00000001"
    registry.promote(settings, "20251203-00000002")
    assert at_work(models) == "20251203-00000002"


def test_new_bounds_of_the_same_version_are_taken_up(settings: Settings) -> None:
    place = store(settings, "20251203-00000001")
    registry.promote(settings, "20251203-00000001")
    models = Models(settings)
    assert models.champion_or_error().deciles.batch_id == "b"
    deciles.write(place, replace(BOUNDS, batch_id="c"))
    assert models.champion_or_error().deciles.batch_id == "c"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '"x"', '{"version": 7}', '{"version": "20251203-00000009"}']
)
def test_a_damaged_champion_leaves_the_old_one_at_work(settings: Settings, text: str) -> None:
    store(settings, "20251203-00000001")
    registry.promote(settings, "20251203-00000001")
    models = Models(settings)
    assert at_work(models) == "20251203-00000001"
    (registry.folder(settings) / registry.CHAMPION).write_text(text)
    assert at_work(models) == "20251203-00000001"
    assert at_work(models) == "20251203-00000001"
    store(settings, "20251203-00000002")
    registry.promote(settings, "20251203-00000002")
    assert at_work(models) == "20251203-00000002"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"intercept": -1.0', '"intercept": NaN'),
        lambda text: text.replace('"intercept": -1.0', '"intercept": "a"'),
        lambda text: text.replace('"log1p"', '"log2p"'),
        lambda text: "[]",
        lambda text: "null",
    ],
)
def test_a_damaged_record_leaves_the_old_one_at_work_until_it_is_whole(
    settings: Settings, damage: Any
) -> None:
    store(settings, "20251203-00000001")
    registry.promote(settings, "20251203-00000001")
    models = Models(settings)
    assert at_work(models) == "20251203-00000001"
    file = store(settings, "20251203-00000002") / registry.RECORD
    whole = file.read_text()
    file.write_text(damage(whole))
    assert file.read_text() != whole
    registry.promote(settings, "20251203-00000002")
    assert at_work(models) == "20251203-00000001"
    file.write_text(whole)
    assert at_work(models) == "20251203-00000002"


# --- what if ---------------------------------------------------------------------------------

CONTRACT = what_if.read_contract()
ADD_ONS = CONTRACT.allowed.without["internet_service_no"]
CUSTOMER: dict[str, Any] = {
    **dict.fromkeys(FEATURES, 0),
    **{"tenure": 30, "monthly_charges": 90.0, "total_charges": 2400.0, "phone_service": 1},
    **{"contract_month_to_month": 1, "internet_service_dsl": 1, "is_high_value": 1},
    **{f"{name}_no": 1 for name in ADD_ONS},
    **{
        "avg_historical_charge": 80.0,
        "billing_ratio": 1.125,
        "service_count": 2,
        "tenure_group": 2,
    },
}


def differing(after: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in after.items() if value != CUSTOMER[name]}


def test_a_price_changes_what_follows_from_it() -> None:
    after = what_if.apply_changes(CUSTOMER, {"monthly_charges": 60}, CONTRACT)
    assert differing(after) == {"monthly_charges": 60.0, "billing_ratio": 0.75, "is_high_value": 0}


def test_the_first_months_average_is_the_price() -> None:
    fresh = {**CUSTOMER, "tenure": 0, "total_charges": 0.0}
    after = what_if.apply_changes(fresh, {"monthly_charges": 60}, CONTRACT)
    assert (after["avg_historical_charge"], after["billing_ratio"]) == (60.0, 1.0)
    free = what_if.apply_changes(fresh, {"monthly_charges": 0}, CONTRACT)
    assert (free["avg_historical_charge"], free["billing_ratio"]) == (0.0, 1.0)


def test_a_category_has_one_flag() -> None:
    after = what_if.apply_changes(CUSTOMER, {"contract": "Two year"}, CONTRACT)
    assert differing(after) == {"contract_month_to_month": 0, "contract_two_year": 1}


def test_an_add_on_is_one_more_service() -> None:
    after = what_if.apply_changes(CUSTOMER, {"tech_support": "Yes"}, CONTRACT)
    assert differing(after) == {"tech_support_no": 0, "tech_support_yes": 1, "service_count": 3}


def test_who_has_no_internet_gets_no_add_on() -> None:
    offline = {**CUSTOMER, "internet_service_dsl": 0, "internet_service_no": 1}
    with pytest.raises(ProblemError, match="no internet service"):
        what_if.apply_changes(offline, {"tech_support": "No"}, CONTRACT)


def test_the_contract_names_the_features_that_there_are() -> None:
    named = {name for group in CONTRACT.groups.values() for name in group.values()}
    assert named <= set(FEATURES)
    assert set(CONTRACT.required_features) <= set(FEATURES)
    choices = set(CONTRACT.allowed.choices)
    assert choices - CONTRACT.groups.keys() == {"paperless_billing"} <= set(FEATURES)


# --- the gate --------------------------------------------------------------------------------


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    settings = replace(settings, api_rate=1)
    with TestClient(application(settings), raise_server_exceptions=False) as client:
        client.headers["X-API-Key"] = keys.new(settings, "tests")
        yield client


def problem(response: Any) -> str:
    """The kind of problem; its shape is the one of all."""
    assert response.headers["content-type"] == "application/problem+json"
    details = response.json()
    assert set(details) == {"type", "title", "status", "where", "what_to_do"}
    assert details["status"] == response.status_code
    assert all(details.values())
    kind: str = details["type"].removeprefix("urn:churn:problem:")
    return kind


@pytest.mark.parametrize("key", [None, "", "churn_wrong", "x" * 5000])
def test_nothing_is_answered_without_a_key(client: TestClient, key: str | None) -> None:
    del client.headers["X-API-Key"]
    headers = {} if key is None else {"X-API-Key": key}
    for path in ("/v1/customers/a/churn", "/v1/nothing", "/v1/churn:batch?x_api_key=1"):
        response = client.get(path, headers=headers)
        assert (response.status_code, problem(response)) == (401, "no-key")
    assert client.get("/health/live").status_code == 200


def test_a_key_in_the_address_is_none(client: TestClient) -> None:
    key = client.headers.pop("X-API-Key")
    assert client.get(f"/v1/customers/a/churn?api_key={key}&X-API-Key={key}").status_code == 401


def test_without_a_model_the_api_lives_and_is_not_ready(client: TestClient) -> None:
    assert client.get("/health/live").json() == {"status": "ok", "model_version": None}
    response = client.get("/v1/customers/a/churn")
    assert (response.status_code, problem(response)) == (503, "no-model")
    assert response.headers["retry-after"] == "1"


def test_without_an_online_store_the_answer_is_503(client: TestClient, settings: Settings) -> None:
    store(settings, "20251203-00000001")
    registry.promote(settings, "20251203-00000001")
    for path in ("/health/ready", "/v1/customers/a/churn"):
        response = client.get(path)
        assert (response.status_code, problem(response)) == (503, "online-store-down")


def test_who_asks_too_much_waits(client: TestClient) -> None:
    ids = {"customer_ids": ["a"] * 1000}
    assert [client.post("/v1/churn:batch", json=ids).status_code for _ in range(2)] == [503, 503]
    response = client.post("/v1/churn:batch", json=ids)
    assert (response.status_code, problem(response)) == (429, "too-many-requests")
    assert 0 < int(response.headers["retry-after"]) <= 1000
    # one customer is one too many as well
    response = client.get("/v1/customers/a/churn")
    assert (response.status_code, problem(response)) == (429, "too-many-requests")


def test_a_batch_costs_as_many_as_it_names(client: TestClient) -> None:
    ids = {"customer_ids": ["a"] * 1000}
    assert client.post("/v1/churn:batch", json=ids).status_code == 503
    for _ in range(10):
        assert client.get("/v1/customers/a/churn").status_code == 503
    # 990 are left
    assert client.post("/v1/churn:batch", json=ids).status_code == 429


def test_a_body_that_says_it_is_too_big_is_not_waited_for(client: TestClient) -> None:
    headers = {"content-type": "application/json", "content-length": str(LARGEST_BODY + 1)}
    response = client.post("/v1/churn:batch", content=b"", headers=headers)
    assert (response.status_code, problem(response)) == (413, "body-too-big")


@pytest.mark.parametrize("told", [True, False])
def test_a_body_is_bounded(client: TestClient, told: bool) -> None:
    chunk = b" " * 4096
    chunks = (chunk for _ in range(LARGEST_BODY // len(chunk) + 1))
    content = b"".join(chunks) if told else chunks
    headers = {"content-type": "application/json"}
    response = client.post("/v1/churn:batch", content=content, headers=headers)
    assert (response.status_code, problem(response)) == (413, "body-too-big")


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"{", 400, "bad-body"),
        (b"", 422, "unfit-request"),
        (b"\xc3(", 400, "bad-body"),
        (b"[" * 100_000, 400, "bad-body"),
        (b"1" * 5000, 400, "bad-body"),
        (b"null", 422, "unfit-request"),
        (b'{"customer_ids": []}', 422, "unfit-request"),
        (b'{"customer_ids": [7]}', 422, "unfit-request"),
        (b'{"customer_ids": [""]}', 422, "unfit-request"),
        (b'{"customer_ids": ["\\ud800"]}', 422, "unfit-request"),
        (b'{"customer_ids": ["a"], "more": 1}', 422, "unfit-request"),
        (b'{"customer_ids": ["a"], "\\ud800": 1}', 422, "unfit-request"),
        (json.dumps({"customer_ids": ["a"] * 1001}).encode(), 422, "unfit-request"),
        (json.dumps({"customer_ids": ["a" * 101]}).encode(), 422, "unfit-request"),
    ],
)
def test_a_faulty_batch_is_refused(client: TestClient, body: bytes, status: int, kind: str) -> None:
    headers = {"content-type": "application/json"}
    response = client.post("/v1/churn:batch", content=body, headers=headers)
    assert (response.status_code, problem(response)) == (status, kind)


@pytest.mark.parametrize(
    ("body", "to_do"),
    [
        ({}, "add it; "),
        ({"customer_ids": 7}, "correct it; "),
        ({"customer_ids": ["a"], "more": 1}, "correct it or leave it out; "),
    ],
)
def test_the_hint_is_about_the_part_that_is_named(
    client: TestClient, body: dict[str, Any], to_do: str
) -> None:
    response = client.post("/v1/churn:batch", json=body)
    assert response.json()["what_to_do"].startswith(to_do)


@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_of_another_type_is_refused_with_a_hint(
    client: TestClient, media_type: str | None
) -> None:
    headers = {} if media_type is None else {"content-type": media_type}
    body = b'{"customer_ids": ["a"]}'
    response = client.post("/v1/churn:batch", content=body, headers=headers)
    assert (response.status_code, problem(response)) == (415, "no-json-type")
    assert "Content-Type: application/json" in response.json()["what_to_do"]
    headers = {"content-type": "application/json; charset=utf-8"}
    assert client.post("/v1/churn:batch", content=body, headers=headers).status_code == 503


@pytest.mark.parametrize(
    ("body", "title", "where"),
    [
        ({}, "A required part of the request is missing", "body: customer_ids"),
        ([], "The body is not a JSON object", "the body"),
        ({"customer_ids": 7}, "The value is not a list", "body: customer_ids"),
        ({"customer_ids": ["a", 7]}, "The value is not a text", "body: customer_ids, item 2"),
        (
            {"customer_ids": ["a" * 101]},
            "The text is longer than 100 characters",
            "body: customer_ids, item 1",
        ),
        (
            {"customer_ids": ["a"] * 1001},
            "The list has more than 1000 items",
            "body: customer_ids",
        ),
        (
            {"customer_ids": ["a"], "more": 1},
            "The endpoint has no field of this name",
            "body: more",
        ),
    ],
)
def test_a_mismatch_is_a_sentence(client: TestClient, body: Any, title: str, where: str) -> None:
    details = client.post("/v1/churn:batch", json=body).json()
    assert (details["title"], details["where"]) == (title, where)


def test_a_misspelt_field_is_recognised(client: TestClient) -> None:
    details = client.post("/v1/churn:batch", json={"customer_ids": ["a"], "customer_idz": 1}).json()
    assert details["what_to_do"].startswith("did you mean customer_ids? ")
    details = client.post("/v1/churn:batch", json={"customer_ids": []}).json()
    assert details["title"] == "The list is empty"


def test_a_mismatch_of_a_change_is_a_sentence(client: TestClient) -> None:
    sentences = {
        ("monthly_charges", "60"): "The value is not a number",
        ("monthly_charges", -1): "The number is below 0",
        ("monthly_charges", 10_001): "The number is above 10000",
        (
            "contract",
            "One Year",
        ): "The value must be one of 'Month-to-month', 'One year' or 'Two year'",
    }
    for (name, value), title in sentences.items():
        details = client.post("/v1/customers/a/churn:what-if", json={name: value}).json()
        assert (details["title"], details["where"]) == (title, f"body: {name}")


def test_every_type_of_problem_is_documented() -> None:
    """The types in the code, and those that the table of the page has."""
    kinds = {what_if.read_contract().allowed.problem}
    for path in (PROJECT / "serving").glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                index = {"ProblemError": 1, "_unavailable": 0}.get(call.func.id)
                if index is not None and isinstance(call.args[index], ast.Constant):
                    kinds.add(call.args[index].value)
    table = (PROJECT / "docs" / "serving.md").read_text().partition("## Errors")[2]
    rows = [row.split("|")[2] for row in table.partition("\n## ")[0].splitlines() if "| `" in row]
    assert {kind for row in rows[1:] for kind in re.findall("`([^`]+)`", row)} == kinds
    assert {"no-route", "no-method", "bad-body", "fault"} < kinds


def test_operations_are_grouped(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    names = {tag["name"] for tag in described["tags"]}
    used = [op.get("tags") for path in described["paths"].values() for op in path.values()]
    assert all(used) and {tag for tags in used for tag in tags} == names


@pytest.mark.parametrize(
    "body",
    [
        {"contract": "One Year"},
        {"contract": None},
        {"monthly_charges": "60"},
        {"monthly_charges": True},
        {"monthly_charges": -1},
        {"monthly_charges": 10_001},
        {"monthly_charges": float("nan")},
        {"tech_support": "No internet service"},
        {"tenure": 7},
        [],
    ],
)
def test_a_faulty_what_if_is_refused(client: TestClient, body: Any) -> None:
    response = client.post(
        "/v1/customers/a/churn:what-if",
        content=json.dumps(body),
        headers={"content-type": "application/json"},
    )
    assert (response.status_code, problem(response)) == (422, "unfit-request")


def test_paths_and_methods_that_are_none(client: TestClient) -> None:
    assert problem(client.get("/nothing")) == "no-route"
    response = client.delete("/v1/customers/a/churn")
    assert (response.status_code, problem(response)) == (405, "no-method")
    assert response.headers["allow"] == "GET"
    assert problem(client.get(f"/v1/customers/{'a' * 101}/churn")) == "unfit-request"


def test_a_fault_stays_inside(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    gate = application(settings)
    assert isinstance(gate.app, FastAPI)
    gate.app.get("/v1/broken")(lambda: 1 / 0)
    headers = {"X-API-Key": keys.new(settings, "tests"), "X-Request-ID": "mine-1"}
    with TestClient(gate, raise_server_exceptions=False) as client:
        response = client.get("/v1/broken", headers=headers)
    assert (response.status_code, problem(response)) == (500, "fault")
    assert "Zero" not in response.text
    assert response.headers["x-request-id"] == "mine-1"
    assert "ZeroDivisionError" in caplog.text
    assert "mine-1" in caplog.text


def test_the_log_knows_neither_keys_nor_customers(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    key = client.headers["X-API-Key"]
    client.get("/v1/customers/7590-VHVEG/churn", headers={"X-Request-ID": "a\nb"})
    client.request("7590-VHVEG", "/7590-VHVEG")
    logged = [each for each in caplog.records if each.name.startswith("serving")]
    lines = [each.getMessage() for each in logged]
    assert len(lines) == 2
    assert lines[0].startswith("GET /v1/customers/{customer_id}/churn 503 ")
    assert lines[1].startswith("other (none) 404 ")
    for secret in (key, "7590-VHVEG", "tests", hash_key(key), "a\nb"):
        assert secret not in "".join(lines)


def test_the_metrics_count_by_route(client: TestClient) -> None:
    client.get("/v1/customers/7590-VHVEG/churn")
    text = client.get("/metrics").text
    route = 'method="GET",route="/v1/customers/{customer_id}/churn",status="503"'
    assert f"churn_api_requests_total{{{route}}} 1.0" in text
    assert "churn_api_request_seconds_bucket" in text
    assert "process_resident_memory_bytes" in text
    assert "7590-VHVEG" not in text


def test_metrics_of_the_customer_base_require_a_key(client: TestClient, settings: Settings) -> None:
    path = metrics_file(settings)
    path.parent.mkdir()
    path.write_text("churn_run_seconds 1.0\n")
    assert "churn_run_seconds" in client.get("/metrics").text
    for key in ("", "churn_wrong"):
        answer = client.get("/metrics", headers={"X-API-Key": key})
        assert answer.status_code == 200
        assert "churn_api_requests" in answer.text
        assert "churn_run_seconds" not in answer.text


def test_an_answer_counts_in_its_bucket_and_those_above() -> None:
    metrics = Metrics()
    for seconds in (0.002, 0.0021, 7.0):
        metrics.request("/r", "GET", 200, seconds)
    lines = metrics.format_text(None).decode().splitlines()
    counted = {
        bound: f'churn_api_request_seconds_bucket{{le="{bound}",route="/r"}} {count}' in lines
        for bound, count in {"0.001": 0.0, "0.002": 1.0, "0.005": 2.0, "+Inf": 3.0}.items()
    }
    assert counted == dict.fromkeys(counted, True)
    assert 'churn_api_request_seconds_sum{route="/r"} 7.0041' in lines


def test_the_page_needs_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs")
    loaded = re.findall(r'<(?:script src|link rel="stylesheet" href)="([^"]+)"', page.text)
    assert len(loaded) == page.text.count("<script") + page.text.count('rel="stylesheet"') == 4
    for address in loaded:
        asset = client.get(f"/{address}")
        assert asset.status_code == 200 and len(asset.content) > 100, address
        # The rest of the service keeps the stricter policy.
        assert asset.headers["content-security-policy"].startswith("default-src 'none'; style-src")
    assert client.get("/docs/index.html").status_code == 404
    assert page.headers.get_list("content-security-policy") == [docs_page.POLICY]
    assert "<nav" not in page.text
    here = client.get("/docs", headers={"host": "127.0.0.1:8000"})
    assert '<a href="/" aria-current="page">Scoring API</a>' in here.text
    assert here.headers.get_list("content-security-policy") == [docs_page.POLICY]
    assert "http" not in docs_page.POLICY and "script-src 'self';" in docs_page.POLICY
    described = client.get("/openapi.json").json()
    what_if = described["paths"]["/v1/customers/{customer_id}/churn:what-if"]["post"]
    assert (
        "curl -X POST http://127.0.0.1:8000/v1/customers/7590-VHVEG/churn:what-if"
        in (what_if["description"])
    )
    reason = described["components"]["schemas"]["Reason"]
    assert reason["properties"]["is_sensitive"]["type"] == "boolean"
    assert "is_sensitive" in reason["required"] and "must not show it" in reason["description"]
    assert described["paths"]["/v1/churn:batch"]["post"]["security"] == [{"key": []}]
    assert "security" not in described["paths"]["/health/live"]["get"]


def test_the_serving_process_has_no_spark() -> None:
    asked = "import sys, serving.server; print([m for m in sys.modules if m[:7] == 'pyspark'])"
    answer = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, cwd=PROJECT, env=os.environ
    )
    assert answer.stdout == "[]\n", answer.stderr


def test_any_id_makes_a_key() -> None:
    assert len({redis_key(each) for each in ("a", "A", "a ", "é", "\x00", "a" * 100)}) == 6


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        (("127.0.0.1", 1), "127.0.0.1"),
        (("::ffff:10.0.0.1", 1, 0, 0), "10.0.0.1"),
        (("2001:db8::1", 1, 0, 0), "2001:db8::/64"),
        (("2001:db8::ffff:1", 1, 0, 0), "2001:db8::/64"),
        (("fe80::1%eth0", 1, 0, 2), "fe80::/64"),
        (None, ""),
        ("/run/socket", ""),
    ],
)
def test_a_client_is_an_address_or_the_network_that_it_can_take_addresses_of(
    peer: object, client: str
) -> None:
    assert client_of(peer) == client
