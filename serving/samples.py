"""Sample answers for the API's description; a test compares them with the schemas.

The customer and the changed values are the domain's examples, the numbers are made up. FastAPI
leaves null out of a description's examples, so no sample has it.
"""

from lakehouse.domain import read_domain
from serving import errors, schemas

_REPORT = read_domain().report
_MODEL = "20251203-1f6e02c4"
_REASON = schemas.describe_reason("contract", "month-to-month contract", 0.62)
_TIME: schemas.Time = {
    "risk_within": {"1": 0.31, "3": 0.6, "6": 0.78, "12": 0.9},
    "remaining_months": 4.9,
    "months_if_kept": 7.1,
    "reasons": [_REASON],
}
_KNOWN: schemas.Known = {
    "customer_id": _REPORT.example_id,
    "event_timestamp": "2025-12-03T00:00:00Z",
    "age_days": 12,
}
_BEFORE: schemas.Risk = {
    "probability": 0.634,
    "decile": 9,
    "reasons": [_REASON],
    "time": _TIME,
    "value": 211.9,
}
_AFTER: schemas.Risk = {
    "probability": 0.287,
    "decile": 6,
    "reasons": [],
    "time": {**_TIME, "remaining_months": 9.8, "months_if_kept": 11.2, "reasons": []},
    "value": 672.0,
}

SCORE: schemas.Score = {**_KNOWN, **_BEFORE, "model_version": _MODEL}
BATCH = {"customer_ids": [_REPORT.example_id, "no-such-id"]}
BATCH_SCORES: schemas.BatchScores = {
    "model_version": _MODEL,
    "customers": [
        {**_KNOWN, "found": True, **_BEFORE},
        {"customer_id": "no-such-id", "found": False, "why": "unknown"},
    ],
}
WHAT_IF: schemas.WhatIf = {
    **_KNOWN,
    "changes": dict(_REPORT.what_if_example),
    "before": _BEFORE,
    "after": _AFTER,
    "model_version": _MODEL,
}
HEALTH: schemas.Health = {"status": "ok", "model_version": _MODEL}
METRICS = """\
# HELP churn_api_requests_total Requests by route, method and status
# TYPE churn_api_requests_total counter
churn_api_requests_total{method="POST",route="/v1/churn:batch",status="200"} 3.0
"""

# An error of each status that the description names, as the service sends it.
ERRORS: dict[int, errors.ProblemDetails] = {
    400: errors.bad_body().details,
    401: errors.no_key().details,
    404: errors.unknown_customer("no-such-id").details,
    408: errors.too_slow(10).details,
    413: errors.too_big(512 * 1024).details,
    415: errors.no_json_type().details,
    422: errors.describe_mismatch({"type": "missing", "loc": ("body", "customer_ids")}).details,
    429: errors.too_many(2).details,
    503: errors.store_down("connection refused").details,
}
