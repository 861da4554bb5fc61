"""The online store takes an extract as a stream: as Feast would write it, and no more than need be.

The rows are drawn; the server is a real one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import redis
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from feature_repo.feature_definitions import read_feature_columns
from feature_repo.feature_store import configuration
from feature_repo.features import customer_features
from feature_repo.online.redis_layout import DIGESTS, OnlineRow
from feature_repo.online.store import Extract, ReplaceResult, StreamedRedisOnlineStore
from lakehouse import online_store
from lakehouse.settings import Settings, read_settings

FEATURES = {each.name: each.data_type for each in read_feature_columns()}
FIRST, SECOND = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
# Past one batch, with ids of more than one length.
CUSTOMERS = 2_500
BATCH = 1_000


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    home = tmp_path_factory.mktemp("online")
    settings = read_settings({"CHURN_HOME": str(home)})
    online_store.ensure_running(settings, print)
    yield settings
    online_store.service(settings).stop()


@pytest.fixture
def client(settings: Settings) -> Iterator[online_store.Client]:
    with online_store.ensure_running(settings, print).client() as client:
        client.flushdb()
        yield client


Dump = dict[bytes, dict[bytes, bytes]]


def drawn(seed: int, count: int = CUSTOMERS) -> pa.Table:
    """Rows as gold has them, with all that their types allow."""
    chance = np.random.default_rng(seed)
    columns: dict[str, pa.Array] = {"customer_id": pa.array(ids(count))}
    columns["event_timestamp"] = pa.array([FIRST] * count, pa.timestamp("us", "UTC"))
    for number, (name, data_type) in enumerate(FEATURES.items()):
        missing = chance.random(count) < (0.1 if number % 5 == 0 else 0)
        if data_type == "double":
            values: Any = chance.normal(0, 1e3, count)
            values[:4] = [0.0, -0.0, np.inf, 5e-324]
        else:
            # A flag has one byte in Feast's form, these up to ten.
            values = chance.integers(0, 2, count).astype(np.int32)
            if number % 7 == 0:
                values[:8] = [127, 128, -1, 2**31 - 1, -(2**31), 300, 0, 16_384]
        columns[name] = pa.array(values, mask=missing)
    return pa.table(columns)


def ids(count: int) -> list[str]:
    """Ids of several lengths, not all of them in ASCII."""
    some = ["a", "naïve-Ωμέγα", "x" * 300, "with \x00 in it", "*5\r\n$3"]
    return [*some, *(f"{number:04d}-{number % 97:02d}XY" for number in range(count - len(some)))]


def extract(rows: pa.Table, moment: datetime = FIRST, name: bytes = b"first") -> Extract:
    stamps = pa.array([moment] * rows.num_rows, pa.timestamp("us", "UTC"))
    rows = rows.set_column(1, "event_timestamp", stamps)
    return Extract(name, moment, list(FEATURES), rows.to_batches(BATCH))


def changed(rows: pa.Table, places: list[int]) -> pa.Table:
    """The rows with another tenure in some places."""
    tenure = rows["tenure"].to_pylist()
    for place in places:
        tenure[place] = (tenure[place] or 0) + 1
    place = rows.schema.get_field_index("tenure")
    return rows.set_column(place, "tenure", pa.array(tenure, pa.int32()))


class Store:
    """The store under test, and the server behind it."""

    def __init__(self, settings: Settings, client: online_store.Client) -> None:
        self.config = configuration(settings, online_store.ensure_running(settings, print))
        self.store = StreamedRedisOnlineStore()
        # Its commands are typed for both clients, the blocking one and the other.
        self.client: Any = client

    def replace(self, rows: Extract, rewrite_all: bool = False) -> ReplaceResult:
        return self.store.replace(self.config, rows, rewrite_all, lambda done: None)

    def dump(self) -> Dump:
        return {
            key: self.client.hgetall(key)
            for key in self.client.scan_iter(count=1000)
            if not key.startswith(DIGESTS)
        }

    def calls(self, command: str) -> int:
        """How often the server has been told so."""
        stats: Mapping[str, Any] = self.client.info("commandstats")
        return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])

    def read(self, customer_id: str) -> OnlineRow | None:
        """The customer as Feast's own interface reads it."""
        key = EntityKey(join_keys=["customer_id"], entity_values=[Value(string_val=customer_id)])
        ((moment, values),) = self.store.online_read(self.config, customer_features, [key])
        features = {}
        for name in FEATURES:
            kind = values[name].WhichOneof("val")
            features[name] = getattr(values[name], kind) if kind else None
        is_there = any(value is not None for value in features.values())
        return OnlineRow(moment.replace(tzinfo=UTC), features) if is_there else None


@pytest.fixture
def store(settings: Settings, client: online_store.Client) -> Store:
    return Store(settings, client)


def written_by_feast(store: Store, rows: pa.Table) -> Dump:
    """What Feast's own store makes of rows, in a database of its own that is empty again after."""
    kinds = {"int": "int32_val", "double": "double_val"}
    data = []
    for row in rows.to_pylist():
        key = EntityKey(
            join_keys=["customer_id"], entity_values=[Value(string_val=row["customer_id"])]
        )
        values = {
            name: Value() if row[name] is None else Value(**{kinds[kind]: row[name]})
            for name, kind in FEATURES.items()
        }
        data.append((key, values, row["event_timestamp"], None))
    place = store.config.online_store.connection_string.replace("db=0", "db=1")
    config = store.config.model_copy()
    config._online_store = RedisOnlineStoreConfig(connection_string=place)
    feasts = RedisOnlineStore()
    feasts.online_write_batch(config, customer_features, data, None)
    there = feasts._get_client(config.online_store)
    try:
        return {key: there.hgetall(key) for key in there.scan_iter(count=1000)}
    finally:
        there.flushdb()


def test_rows_lie_in_the_store_as_feast_itself_writes_them(store: Store) -> None:
    rows = drawn(1)
    done = store.replace(extract(rows))
    assert done == ReplaceResult(CUSTOMERS, written=CUSTOMERS, removed=0, resumed=0)
    assert store.dump() == written_by_feast(store, rows)


def test_feasts_interface_and_the_api_read_what_was_drawn(store: Store) -> None:
    rows = drawn(2)
    store.replace(extract(rows))
    for row in rows.slice(0, 300).to_pylist():
        expected = OnlineRow(FIRST, {name: row[name] for name in FEATURES})
        assert store.read(row["customer_id"]) == expected
    assert store.read("unknown") is None


def test_only_changed_customers_are_written_and_absent_ones_removed(store: Store) -> None:
    before = drawn(3)
    store.replace(extract(before))
    # 25 changed, the last 10 gone, one new
    after = changed(before, list(range(0, 2_500, 100))).slice(0, CUSTOMERS - 10)
    newcomer = drawn(4).slice(0, 1).set_column(0, "customer_id", pa.array(["newcomer"]))
    after = pa.concat_tables([after, newcomer])
    writes = store.calls("hset")
    done = store.replace(extract(after, SECOND, b"second"))
    assert done == ReplaceResult(CUSTOMERS - 9, written=26, removed=10, resumed=0)
    # Besides the customers: the digest store, in three chunks, each of which records the progress
    assert store.calls("hset") - writes <= 26 + 3 + 3
    partly = store.dump()
    store.replace(extract(after, SECOND, b"second"), rewrite_all=True)
    whole = store.dump()
    stamp = b"_ts:customer_features"
    assert {key: {**each, stamp: b""} for key, each in partly.items()} == {
        key: {**each, stamp: b""} for key, each in whole.items()
    }


def test_another_order_of_the_rows_is_no_change(store: Store) -> None:
    rows = drawn(12)
    store.replace(extract(rows))
    shuffled = changed(rows, [0, 1_200]).take(np.random.default_rng(12).permutation(CUSTOMERS))
    done = store.replace(extract(shuffled, SECOND, b"second"))
    assert done == ReplaceResult(CUSTOMERS, written=2, removed=0, resumed=0)


def test_readers_are_told_the_extract_that_confirmed_a_customer(store: Store) -> None:
    rows = drawn(5)
    store.replace(extract(rows))
    unchanged, other = rows["customer_id"][7].as_py(), rows["customer_id"][8].as_py()
    store.replace(extract(changed(rows, [8]), SECOND, b"second"))
    for customer_id in (unchanged, other):
        read = store.read(customer_id)
        assert read is not None
        assert read.event_timestamp == SECOND
    # An earlier state, restored: nothing is as fresh as it was.
    store.replace(extract(rows, FIRST, b"restored"), rewrite_all=True)
    read = store.read(unchanged)
    assert read is not None
    assert read.event_timestamp == FIRST


class CutError(Exception):
    pass


def broken_off(rows: Extract, after: int, fault: Any) -> Extract:
    """The extract, at whose batch `after` something happens."""

    def batches() -> Iterator[pa.RecordBatch]:
        for number, batch in enumerate(rows.batches):
            if number == after:
                fault()
            yield batch

    return replace(rows, batches=batches())


def cut() -> None:
    raise CutError


def test_it_goes_on_where_it_broke_off(store: Store) -> None:
    rows = extract(drawn(6))
    with pytest.raises(CutError):
        store.replace(broken_off(rows, 2, cut))
    assert store.replace(rows) == ReplaceResult(
        CUSTOMERS, written=500, removed=0, resumed=2 * BATCH
    )
    interrupted = store.dump()
    store.replace(rows, rewrite_all=True)
    assert store.dump() == interrupted


def test_a_lost_connection_is_told_and_nothing_is_lost(store: Store) -> None:
    rows = extract(drawn(7))
    store.replace(rows)
    after = extract(changed(drawn(7), [5, 1_500, 2_400]), SECOND, b"second")

    def disconnect() -> None:
        store.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    with pytest.raises(redis.ConnectionError):
        store.replace(broken_off(after, 1, disconnect))
    done = store.replace(after)
    assert (done.customers, done.removed) == (CUSTOMERS, 0)
    assert done.written + done.resumed >= 2
    read = store.read(drawn(7)["customer_id"][5].as_py())
    assert read is not None
    assert read.features["tenure"] == changed(drawn(7), [5])["tenure"][5].as_py()


def test_what_is_not_known_for_certain_is_written_whole(store: Store) -> None:
    first, second = extract(drawn(8)), extract(drawn(9), SECOND, b"second")
    store.replace(first)
    # Others than the interrupted ones: what of those was written?
    with pytest.raises(CutError):
        store.replace(broken_off(second, 1, cut))
    assert store.replace(first).written == CUSTOMERS
    # A customer who was lost
    store.client.unlink(next(iter(store.dump())))
    assert store.replace(second).written == CUSTOMERS
    # Feast's own way to write
    key = EntityKey(join_keys=["customer_id"], entity_values=[Value(string_val="by hand")])
    values = {name: Value(int32_val=1) for name in FEATURES}
    store.store.online_write_batch(
        store.config, customer_features, [(key, values, FIRST, None)], None
    )
    done = store.replace(first)
    assert (done.written, done.removed) == (CUSTOMERS, 1)
    # An emptied server
    store.client.flushdb()
    assert store.replace(first).written == CUSTOMERS
    assert store.replace(replace(first, identity=b"restated, the same")).written == 0


def test_a_refusal_of_the_server_is_told_in_its_words(store: Store) -> None:
    store.client.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(redis.ResponseError, match="maxmemory"):
            store.replace(extract(drawn(10)))
    finally:
        store.client.config_set("maxmemory", "0")
    assert store.replace(extract(drawn(10))).customers == CUSTOMERS


def test_null_and_zero_differ(store: Store) -> None:
    rows = drawn(11)
    place = rows.schema.get_field_index("tenure")
    zeros = pa.array([0] * CUSTOMERS, pa.int32())
    nulls = pa.array([None, *[0] * (CUSTOMERS - 1)], pa.int32())
    store.replace(extract(rows.set_column(place, "tenure", zeros)))
    after = extract(rows.set_column(place, "tenure", nulls), name=b"restated")
    assert store.replace(after).written == 1
