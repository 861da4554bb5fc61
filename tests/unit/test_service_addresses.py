"""Addresses of services in the settings: an invalid one is an error that names its variable."""

from dataclasses import replace

import pytest

from lakehouse import online_store
from lakehouse.errors import InvalidInputError
from lakehouse.postgresql import database
from lakehouse.settings import read_settings

INVALID = [
    *("host", "http://host/0", "{scheme}://", "{scheme}://user:{word}@host/0"),
    *("{scheme}://user@host:port/0", "{scheme}://user@host:99999/0", "{scheme}://user@[::1/0"),
]


@pytest.mark.parametrize("address", [*INVALID, "redis://host/name", "redis://host/0/1"])
def test_an_invalid_address_of_redis_is_named(address: str) -> None:
    settings = replace(read_settings({}), redis_url=address.format(scheme="redis", word="word"))
    with pytest.raises(InvalidInputError, match="CHURN_REDIS_URL must look like"):
        online_store.find(settings)


@pytest.mark.parametrize("address", [*INVALID, "postgresql://host/name", "postgresql://user@host"])
def test_an_invalid_address_of_postgresql_is_named(address: str) -> None:
    with pytest.raises(InvalidInputError, match="CHURN_METASTORE_URL"):
        database(address.format(scheme="postgresql", word="word"), "CHURN_METASTORE_URL")


@pytest.mark.parametrize(
    ("address", "port", "number"),
    [("redis://host", 6379, 0), ("rediss://host:7000/3", 7000, 3), ("redis://[::1]/", 6379, 0)],
)
def test_a_valid_address_of_redis_is_read(address: str, port: int, number: int) -> None:
    found = online_store.find(replace(read_settings({}), redis_url=address))
    assert found is not None
    assert (found.port, found.database) == (port, number)
