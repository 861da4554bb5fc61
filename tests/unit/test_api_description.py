"""The API's description: its samples fit its types, and the reference page has all of it."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from docsite.api import format_api, read_description
from serving import errors, samples, schemas, what_if
from serving.metrics import Metrics

ANSWERS = {
    "/v1/customers/{customer_id}/churn": (schemas.Score, samples.SCORE),
    "/v1/churn:batch": (schemas.BatchScores, samples.BATCH_SCORES),
    "/v1/customers/{customer_id}/churn:what-if": (schemas.WhatIf, samples.WHAT_IF),
    "/health/live": (schemas.Health, samples.HEALTH),
    "/health/ready": (schemas.Health, samples.HEALTH),
}
REQUESTS = {
    "/v1/churn:batch": schemas.Batch,
    "/v1/customers/{customer_id}/churn:what-if": what_if.changes_type(what_if.read_contract()),
}


@pytest.fixture(scope="module")
def operations() -> dict[str, dict[str, Any]]:
    paths = read_description()["paths"]
    return {path: next(iter(methods.values())) for path, methods in paths.items()}


def is_exact(kind: Any, sample: object) -> bool:
    """Whether a sample is of the type: nothing is missing, wrong, or more than it has."""
    return bool(TypeAdapter(kind).validate_json(json.dumps(sample), strict=True) == sample)


@pytest.mark.parametrize("path", ANSWERS)
def test_a_sample_answer_is_one(path: str, operations: dict[str, dict[str, Any]]) -> None:
    kind, sample = ANSWERS[path]
    content = operations[path]["responses"]["200"]["content"]["application/json"]
    assert content["schema"] == {"$ref": f"#/components/schemas/{kind.__name__}"}
    assert content["example"] == sample, "FastAPI leaves null out"
    assert is_exact(kind, content["example"])


def test_a_sample_that_differs_is_found() -> None:
    assert not is_exact(schemas.Health, {**samples.HEALTH, "more": 1})
    with pytest.raises(ValueError, match="model_version"):
        is_exact(schemas.Health, {"status": "ok"})


@pytest.mark.parametrize("path", REQUESTS)
def test_a_sample_request_is_one(path: str, operations: dict[str, dict[str, Any]]) -> None:
    body = operations[path]["description"].rpartition("-d '")[2].partition("'")[0]
    assert is_exact(REQUESTS[path], json.loads(body))


def test_every_endpoint_has_a_sample(operations: dict[str, dict[str, Any]]) -> None:
    assert operations.keys() == {*ANSWERS, "/metrics"}
    metrics = Metrics()
    for _ in range(3):
        metrics.request("/v1/churn:batch", "POST", 200, 0.1)
    assert samples.METRICS in metrics.format_text(None).decode()
    (content,) = operations["/metrics"]["responses"]["200"]["content"].values()
    assert content["example"] == samples.METRICS


def test_sample_errors_are_those_of_their_status(operations: dict[str, dict[str, Any]]) -> None:
    for operation in operations.values():
        for status, answer in operation["responses"].items():
            details = answer["content"].get(errors.MEDIA_TYPE, {}).get("example")
            if details is not None:
                assert details["status"] == int(status)
                assert is_exact(errors.ProblemDetails, details)


def test_every_field_has_a_meaning() -> None:
    for name, schema in read_description()["components"]["schemas"].items():
        for field, described in schema["properties"].items():
            assert described.get("description"), f"{name}.{field}"


def test_the_page_has_every_endpoint_and_field(operations: dict[str, dict[str, Any]]) -> None:
    page = format_api()
    for path in operations:
        assert f" {path}\n" in page
    for schema in read_description()["components"]["schemas"].values():
        for field in schema["properties"]:
            assert f"| `{field}` |" in page, field
    assert page.count("Sample request:") == page.count("Sample answer:") == len(operations)
    assert '| `contract` | `"Month-to-month"` or `"One year"` or `"Two year"`, optional |' in page
    assert "array of 1 to 1,000 items: string of 1 to 100 characters" in page
