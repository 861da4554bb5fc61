"""The feature store after a run: what `verify` finds, and what mends it."""

import json
from collections.abc import Iterator

import pytest
from environments import CompletedRun

from feature_repo.online.redis_layout import redis_key
from lakehouse import online_store

EXISTING_CUSTOMER = "7590-VHVEG"
UNKNOWN_CUSTOMER = "UNKNOWN"


@pytest.fixture
def client(completed_run: CompletedRun) -> Iterator[online_store.Client]:
    """A client of the home's online store, which is whole again afterwards."""
    with online_store.ensure_running(
        completed_run.home.settings, lambda _: None
    ).client() as client:
        yield client
    completed_run.home.churn("features", "materialize", "--all")


def verified(completed_run: CompletedRun, code: int) -> list[dict[str, object]]:
    answer = completed_run.home.churn("features", "verify", "--json", code=code)
    found: list[dict[str, object]] = json.loads(answer.stdout)["differences"]
    return found


def test_what_verify_finds_is_named_and_the_next_materialization_mends_it(
    completed_run: CompletedRun, client: online_store.Client
) -> None:
    client.copy(redis_key(EXISTING_CUSTOMER), redis_key(UNKNOWN_CUSTOMER))
    client.unlink(redis_key(EXISTING_CUSTOMER))
    found = verified(completed_run, code=1)
    assert [tuple(each.values()) for each in found] == [
        (EXISTING_CUSTOMER, "customer_id", EXISTING_CUSTOMER, None),
        (UNKNOWN_CUSTOMER, "customer_id", None, UNKNOWN_CUSTOMER),
    ]
    # The number of keys is unchanged: only the differences that `verify` found show the damage.
    assert "wrote 7,043" in completed_run.home.churn("features", "materialize").stderr
    assert verified(completed_run, code=0) == []
    assert "wrote 0 customers" in completed_run.home.churn("features", "materialize").stderr
