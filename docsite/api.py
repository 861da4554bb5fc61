"""Render the page of the scoring API's endpoints from its OpenAPI description."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI

from docsite.markdown import format_table
from lakehouse.settings import read_settings
from serving.app import application

Schema = Mapping[str, Any]
Rows = Iterator[tuple[str, str, str]]
JSON = "application/json"
FIELDS = ("Field", "Type and values", "Meaning")
START = (
    "# The scoring API's endpoints",
    "`churn serve` serves the API at `http://127.0.0.1:8000`. Its page `/docs` has the same "
    "content, with requests to try, and `openapi.json` has it for generators of clients. "
    "[The scoring API](../serving.md) explains how to start it and what its answers mean.",
    "A request below `/v1` requires a key in the header `X-API-Key`; `churn api-key new NAME` "
    "creates one. Bodies are JSON.",
)
# The objects of answers, in the order of the page; those of requests are in the endpoints' tables.
OBJECTS = ("Found", "NotFound", "Risk", "Reason", "Time")


def read_description() -> dict[str, Any]:
    """Return the OpenAPI description, as the API serves it with the default settings."""
    app = application(read_settings({})).app
    assert isinstance(app, FastAPI)
    described: dict[str, Any] = app.openapi()
    return described


def format_api() -> str:
    """Return the page of all endpoints: request, answer and statuses of each, and its errors."""
    described = read_description()
    schemas = described["components"]["schemas"]
    parts = [*START]
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            parts += _format_operation(f"{method.upper()} {path}", operation, schemas)
    parts.append("## Objects of answers")
    for name in OBJECTS:
        table = format_table(FIELDS, _list_fields(schemas[name]))
        parts += [f"### {name}", schemas[name]["description"].partition("\n\n")[0], table]
    parts += [
        "## Errors",
        "Each error is `application/problem+json`. [All types](../serving.md#errors) of errors.",
        format_table(FIELDS, _list_fields(schemas["ProblemDetails"])),
    ]
    return "\n\n".join(parts) + "\n"


def _format_operation(name: str, operation: Schema, schemas: Schema) -> Iterator[str]:
    about, fence, curl = operation["description"].partition("```")
    yield f"## {name}"
    key = "Requires a key." if operation.get("security") else "Requires no key."
    yield f"{operation['summary']}. {' '.join(about.split())} {key}"
    rows = [
        (
            f"`{each['name']}`",
            f"{_format_type(each['schema'])}, in the {each['in']}",
            each["description"],
        )
        for each in operation.get("parameters", ())
    ]
    if (body := operation.get("requestBody")) is not None:
        rows += _list_fields(_resolve(body["content"][JSON]["schema"], schemas))
    if rows:
        yield format_table(("Field of the request", *FIELDS[1:]), rows)
    yield "Sample request:"
    yield f"{fence}{curl}"
    answers = operation["responses"]
    ((media_type, content),) = answers["200"]["content"].items()
    is_json = media_type == JSON
    yield "Sample answer:"
    shown = json.dumps(content["example"], indent=2) if is_json else content["example"].strip()
    yield f"```{'json' if is_json else 'text'}\n{shown}\n```"
    if is_json:
        answer = _list_fields(_resolve(content["schema"], schemas))
        yield format_table(("Field of the answer", *FIELDS[1:]), answer)
    statuses = [(code, each.get("description", "")) for code, each in answers.items()]
    yield format_table(("Status", "Meaning"), statuses)


def _list_fields(schema: Schema) -> Rows:
    """Yield a row for each field of an object."""
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        optional = "" if name in required else ", optional"
        yield f"`{name}`", f"{_format_type(field)}{optional}", field.get("description", "")


def _resolve(schema: Schema, schemas: Schema) -> Schema:
    """Return a schema, or the one that it refers to."""
    found: Schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def _format_type(field: Schema) -> str:
    """Return the type of a field with the values that are allowed, and a link to an object."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        return " or ".join(_format_type(each) for each in field["anyOf"])
    if values := field.get("enum") or ([field["const"]] if "const" in field else []):
        return " or ".join(f"`{json.dumps(value)}`" for value in values)
    kind = str(field.get("type", "any"))
    if kind == "array":
        return f"array{_format_range(field, 'Items', ' items')}: {_format_type(field['items'])}"
    if kind == "string":
        return f"string{_format_range(field, 'Length', ' characters')}"
    if kind in ("number", "integer"):
        low, high = field.get("minimum"), field.get("maximum")
        return kind if low is None else f"{kind}, {low:,g} to {high:,g}"
    inner = field.get("additionalProperties")
    return f"object of {inner['type']}s" if isinstance(inner, dict) else kind


def _format_range(field: Schema, what: str, unit: str) -> str:
    """Return how many items or characters are allowed, or nothing if any number is."""
    low, high = field.get(f"min{what}"), field.get(f"max{what}")
    if high is None:
        return ""
    return f" of {low:,} to {high:,}{unit}" if low is not None else f" of at most {high:,}{unit}"
