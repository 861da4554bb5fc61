"""Requests drawn from the API's own description; the answers are validated against it."""

from collections import Counter
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode

ORDINARY = settings(
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def hold_against_description(
    address: str, key: str, customer_id: str, cases: int, seed: int
) -> Counter[int]:
    """Ask each operation `cases` times, half of them with faults; how often which status came.

    Raises where an answer is none that the description allows for, a 5xx included, and where a
    faulty request is taken or a right one refused. Of the requests with a customer half are for
    the given one.
    """
    statuses: Counter[int] = Counter()
    description = schemathesis.openapi.from_url(f"{address}/openapi.json")
    for found in description.get_all_operations():
        operation = found.ok()
        faulty = [GenerationMode.NEGATIVE] if takes_something(operation) else []
        known: list[dict[str, Any]] = [{}]
        if "{customer_id}" in operation.path:
            known.append({"path_parameters": {"customer_id": customer_id}})
        ways = [(mode, each) for mode in [GenerationMode.POSITIVE, *faulty] for each in known]
        for mode, fixed in ways:
            if mode is GenerationMode.NEGATIVE and fixed and operation.method == "get":
                continue  # nothing is left to be faulty

            def ask(case: Case) -> None:
                answer = case.call_and_validate(headers={"X-API-Key": key})
                statuses[answer.status_code] += 1

            strategy = operation.as_strategy(generation_mode=mode, **fixed)
            drawn = given(case=strategy)(ask)
            few = settings(ORDINARY, max_examples=max(1, cases // len(ways)))
            drawn.hypothesis.inner_test._hypothesis_internal_use_seed = seed
            few(drawn)()
    return statuses


def takes_something(operation: Any) -> bool:
    """Whether a request of it can be faulty at all."""
    return bool(operation.body) or bool(operation.path_parameters)
