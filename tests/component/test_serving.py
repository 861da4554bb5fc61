"""The scoring API on the published workbook: offline, online and over HTTP the same."""

import json
import re
import select
import shutil
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psutil
import pytest
from api import Answer, Api, OwnRedis, start
from drawn_requests import hold_against_description
from environments import ChurnHome, CompletedRun

from feature_repo.feature_definitions import read_feature_columns
from feature_repo.online.redis_layout import (
    AS_OF,
    DIGESTS,
    MARKER,
    TIMESTAMP_FIELD,
    read_row,
    redis_key,
)
from lakehouse import online_store
from lakehouse.key_store import hash_key
from lakehouse.settings import LOOPBACK, Settings, read_settings
from serving import keys, what_if
from serving.server import HEAD_SECONDS, REQUEST_SECONDS
from trainer import deciles, registry
from trainer.portable_model import LinearModel
from trainer.reason_texts import NumberTemplate, read_reasons

FEATURES = [each.name for each in read_feature_columns()]
CUSTOMERS = 7043
SENSITIVE = {"senior_citizen", "partner", "dependents", "gender"}
EXTRACT_DATE = "date '2025-12-03'"
EXTRACT = f"extract_date = {EXTRACT_DATE}"
KNOWN, UNKNOWN = "7590-VHVEG", "unknown-id"
CONTRACT = what_if.read_contract()
ADD_ONS = CONTRACT.allowed.without["internet_service_no"]
# Numbers that are hard to write: halves, what is a half in one notation only, thousands, bounds.
HARD_NUMBERS = [
    *(0.0, 0.004, 0.005, 0.015, 0.125, 0.375, 0.625, 1.0, 1.005, 1.115, 2.675, 9.995, 999.995),
    *(1000.0, 1234.565, 99999.995, 1e6, 9999999.99, 0.995, 0.9949999999, 1.0050000001, 0.975),
    *(1.025, 1.035, 1.045, 0.965, 0.5, 1.5, 0.125001, 12345678.125, 33.335, 70.125, 70.375),
]


@pytest.fixture(scope="module")
def walked_settings(completed_run: CompletedRun) -> Settings:
    settings = completed_run.home.settings
    # Other tests may have come before with a restart of everything.
    online_store.ensure_running(settings, print)
    return settings


@pytest.fixture(scope="module")
def served(
    completed_run: CompletedRun, walked_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """The API on the home's own online store and models, for tests that change nothing."""
    key = keys.new(walked_settings, "tests")
    environ = {**completed_run.home.environ, "CHURN_API_RATE": "1000000"}
    api = start(environ, key, tmp_path_factory.mktemp("served") / "api.log")
    yield api
    api.end()
    keys.revoke(walked_settings, "tests")


@pytest.fixture(scope="module")
def scores(completed_run: CompletedRun) -> dict[str, dict[str, Any]]:
    """What the batch wrote, by customer."""
    rows = completed_run.home.sql(
        f"""
        select customer_id, probability, decile, reasons, model_version
        from gold.churn_scores
        where {EXTRACT} and model_version = '{completed_run.summary["model"]["version"]}'
        """
    )
    return {row["customer_id"]: row for row in rows}


@pytest.fixture(scope="module")
def gold(completed_run: CompletedRun) -> dict[str, dict[str, Any]]:
    rows = completed_run.home.sql(
        f"select customer_id, {', '.join(FEATURES)} from gold.customer_features where {EXTRACT}"
    )
    return {row.pop("customer_id"): row for row in rows}


def batches(api: Api, ids: list[str]) -> dict[str, dict[str, Any]]:
    found = {}
    for begin in range(0, len(ids), 1000):
        answer = api.batch(ids[begin : begin + 1000])
        assert answer.status == 200, answer
        found |= {each["customer_id"]: each for each in answer.json["customers"]}
    return found


def same_risk(answered: dict[str, Any], score: dict[str, Any]) -> None:
    """What the API says of a customer is what the batch says."""
    assert answered["probability"] == pytest.approx(score["probability"], rel=0, abs=1e-9)
    assert answered["decile"] == score["decile"]
    assert [(each["feature"], each["text"]) for each in answered["reasons"]] == [
        (each["feature"], each["text"]) for each in score["reasons"]
    ]
    assert [each["contribution"] for each in answered["reasons"]] == pytest.approx(
        [each["contribution"] for each in score["reasons"]], rel=0, abs=1e-9
    )
    assert [each["is_sensitive"] for each in answered["reasons"]] == [
        each["feature"] in SENSITIVE for each in score["reasons"]
    ]


# --- equal ------------------------------------------------------------------------------------


def test_every_feature_online_is_the_one_of_gold(
    walked_settings: Settings, gold: dict[str, dict[str, Any]]
) -> None:
    with online_store.ensure_running(walked_settings, print).client() as client:
        pipeline = client.pipeline(transaction=False)
        for customer_id in gold:
            pipeline.hgetall(redis_key(customer_id))
        stored = pipeline.execute()
    assert len(gold) == CUSTOMERS
    for row, found in zip(gold.values(), stored, strict=True):
        online = read_row(FEATURES, found, None)
        assert online is not None
        assert online.event_timestamp == datetime(2025, 12, 3, tzinfo=UTC)
        assert online.features == row
        assert [type(each) for each in online.features.values()] == [
            type(each) for each in row.values()
        ]


def test_every_customer_gets_the_answer_of_the_batch(
    served: Api, scores: dict[str, dict[str, Any]]
) -> None:
    answered = batches(served, list(scores))
    assert len(answered) == len(scores) == CUSTOMERS
    assert Counter(each["decile"] for each in answered.values()) == Counter(
        each["decile"] for each in scores.values()
    )
    for customer_id, score in scores.items():
        same_risk(answered[customer_id], score)
    reasons = [reason for answer in answered.values() for reason in answer["reasons"]]
    assert {reason["is_sensitive"] for reason in reasons} == {False, True}


def test_one_by_one_is_the_same_as_together(served: Api, scores: dict[str, dict[str, Any]]) -> None:
    ids = list(scores)[::10]
    together = batches(served, ids)
    for customer_id in ids:
        answer = served.churn(customer_id)
        assert answer.status == 200
        alone = answer.json
        assert alone.pop("model_version") == scores[customer_id]["model_version"]
        assert together[customer_id].pop("found") is True
        assert alone == together[customer_id]
        assert (alone["event_timestamp"], alone["age_days"]) == ("2025-12-03T00:00:00Z", 7)


def test_words_are_the_same_letters_in_spark_and_here(completed_run: CompletedRun) -> None:
    figures = [each for each in read_reasons() if isinstance(each.text, NumberTemplate)]
    assert len(figures) >= 5
    for reason in figures:
        whole = reason.text.number.text.startswith("cast({value} as int)")
        numbers = [float(int(each)) for each in HARD_NUMBERS] if whole else HARD_NUMBERS
        rows = completed_run.home.sql(
            f"select {reason.text.sql()} as said from values "
            + ", ".join(f"({each!r}D)" for each in numbers)
            + f" as numbers ({reason.feature})"
        )
        here = [reason.text.render({reason.feature: each}) for each in numbers]
        assert [row["said"] for row in rows] == here


def test_words_of_undeclared_inputs_too(completed_run: CompletedRun) -> None:
    from trainer.reason_texts import reasons_for

    (reason,) = reasons_for(["fresh"], read_reasons())
    numbers = [*HARD_NUMBERS, 0.0000005, 1e-7, 3.0, -2.5]
    rows = completed_run.home.sql(
        f"select {reason.text.sql()} as said from values "
        + ", ".join(f"({each!r}D)" for each in numbers)
        + " as numbers (fresh)"
    )
    assert [row["said"] for row in rows] == [reason.text.render({"fresh": n}) for n in numbers]


# --- what if ----------------------------------------------------------------------------------

# What is changed, and for whom the rules of rows allow it.
CHANGES: list[tuple[dict[str, Any], str]] = [
    ({}, "true"),
    ({"contract": "Two year", "monthly_charges": 60.0}, "true"),
    ({"monthly_charges": 80.01, "paperless_billing": "Yes"}, "true"),
    ({"monthly_charges": 0.0, "payment_method": "Mailed check"}, "true"),
    (dict.fromkeys(ADD_ONS, "Yes"), "internet_service != 'No'"),
    ({"tech_support": "No", "streaming_tv": "Yes"}, "internet_service != 'No'"),
]


@pytest.mark.parametrize(("changes", "allowed"), CHANGES)
def test_changed_values_make_the_features_that_sql_makes(
    completed_run: CompletedRun,
    gold: dict[str, dict[str, Any]],
    changes: dict[str, Any],
    allowed: str,
) -> None:
    """The model's own SQL, over silver with the changes in it."""
    expected = completed_run.home.sql(features_query(completed_run.home, changes, allowed))
    assert len(expected) > 5000
    contract = what_if.read_contract()
    for row in expected:
        before = gold[row.pop("customer_id")]
        # Either way the derived features are computed here: for changed values, or for gold's.
        if changes:
            after = what_if.apply_changes(before, changes, contract)
        else:
            after = {**before, **contract.derived.compute(before)}
        assert after == row


def features_query(home: ChurnHome, changes: dict[str, Any], allowed: str) -> str:
    (compiled,) = (home.path / "dbt").rglob("compiled/**/audit_customer_features.sql")
    values = {
        name: f"{value!r}D"
        if isinstance(value, float)
        else str(int(value == "Yes"))
        if CONTRACT.columns[name].type == "flag"
        else f"'{value}'"
        for name, value in changes.items()
    }
    columns = ", ".join(f"{value} as {name}" for name, value in values.items())
    source = f"select * from silver.customers where {EXTRACT} and {allowed}"
    if changes:
        source = f"select * except ({', '.join(values)}), {columns} from ({source})"
    loads = (
        f"select distinct extract_date, _batch_id as batch_id, now() as loaded_at from ({source})"
    )
    text = compiled.read_text()
    for name, replaced in (("pending_loads", loads), ("customers", source)):
        text, count = re.subn(
            rf"(?m)^\s*select \* from \S+\b{name}`?\s*$", f" select * from ({replaced})", text
        )
        assert count == 1, (name, text)
    text = text.replace(
        "(select extract_dates from silver.pending_dates)", f"array({EXTRACT_DATE})"
    )
    return f"select customer_id, {', '.join(FEATURES)} from ({text})"


def test_a_two_year_contract_lowers_the_risk_with_reasons(
    served: Api, scores: dict[str, dict[str, Any]]
) -> None:
    answer = served.what_if(KNOWN, contract="Two year", monthly_charges=25)
    assert answer.status == 200
    told = answer.json
    same_risk(told["before"], scores[KNOWN])
    assert told["after"]["probability"] < told["before"]["probability"]
    assert told["after"]["decile"] <= told["before"]["decile"]
    assert told["changes"] == {"contract": "Two year", "monthly_charges": 25.0}
    assert "month-to-month contract" in [each["text"] for each in told["before"]["reasons"]]
    assert "month-to-month contract" not in [each["text"] for each in told["after"]["reasons"]]


def test_what_is_as_it_was_changes_nothing(served: Api, gold: dict[str, dict[str, Any]]) -> None:
    contract = what_if.read_contract()
    for customer_id in list(gold)[::500]:
        row = gold[customer_id]
        same: dict[str, Any] = {"monthly_charges": row["monthly_charges"]}
        for name in ("contract", "payment_method"):
            flags = contract.groups[name].items()
            same[name] = next(value for value, flag in flags if row[flag] == 1)
        told = served.what_if(customer_id, **same).json
        assert told["before"] == told["after"]


def test_add_ons_need_internet_service(served: Api, gold: dict[str, dict[str, Any]]) -> None:
    offline = next(each for each, row in gold.items() if row["internet_service_no"] == 1)
    answer = served.what_if(offline, tech_support="Yes")
    assert (answer.status, answer.problem) == (409, "no-internet-service")
    assert (served.what_if(offline).status, served.what_if(offline).problem) == (
        422,
        "nothing-changed",
    )


# --- refused ----------------------------------------------------------------------------------


def test_without_a_good_key_nothing_is_told(served: Api) -> None:
    for key in ("", "churn_wrong", hash_key(served.key)):
        answer = served.ask("GET", f"/v1/customers/{KNOWN}/churn", **{"X-API-Key": key})
        assert (answer.status, answer.problem) == (401, "no-key")
        assert KNOWN not in answer.text
    assert served.ask("GET", f"/v1/customers/{KNOWN}/churn?X-API-Key={served.key}").status == 200


def test_unknown_customers_are_not_found(served: Api) -> None:
    answer = served.churn(UNKNOWN)
    assert (answer.status, answer.problem) == (404, "unknown-customer")
    assert served.what_if(UNKNOWN, contract="One year").status == 404
    told = served.batch([KNOWN, UNKNOWN, KNOWN]).json["customers"]
    assert [(each["customer_id"], each["found"]) for each in told] == [
        (KNOWN, True),
        (UNKNOWN, False),
        (KNOWN, True),
    ]
    assert told[1]["why"] == "unknown"
    assert told[0] == told[2]


def test_too_big_and_too_many_are_refused(served: Api) -> None:
    big = served.other().ask("POST", "/v1/churn:batch", {"customer_ids": ["a" * 100_000] * 6})
    assert (big.status, big.problem) == (413, "body-too-big")
    many = served.batch([KNOWN] * 1001)
    assert (many.status, many.problem) == (422, "unfit-request")


CHUNKED = b"POST /v1/churn:batch HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n"


def test_chunks_without_end_are_refused(served: Api) -> None:
    with connected(served) as connection:
        connection.sendall(CHUNKED + b"x-api-key: " + served.key.encode() + b"\r\n\r\n")
        chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
        with suppress(OSError):  # refused and closed before all of it is sent
            for _ in range(1000):
                connection.sendall(chunk)
                if select.select([connection], [], [], 0)[0]:
                    break
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "begun",
    [
        b"GET / HTTP/1.1\r\nx: ",
        # without a key: it is answered, and goes on
        CHUNKED + b"\r\n0\r\nx: ",
        CHUNKED + b"\r\n1;",
    ],
    ids=["head", "trailer", "chunk"],
)
def test_what_has_no_end_is_cut_off(served: Api, begun: bytes) -> None:
    with connected(served) as connection:
        connection.sendall(begun)
        with pytest.raises(OSError):
            for _ in range(200):
                connection.sendall(b"y" * 4096)
                time.sleep(0.005)
    assert served.other().churn(KNOWN).status == 200


def test_who_never_comes_to_an_end_is_cut_off(served: Api) -> None:
    """All at once, since each has to be waited for."""
    batch = b"POST /v1/churn:batch HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n"
    silent, slow_head, slow_body, no_key = (
        (b"", b""),
        (b"GET / HTTP/1.1\r\n", b""),
        (batch + b"x-api-key: " + served.key.encode() + b"\r\n\r\n[", b"HTTP/1.1 408 "),
        (batch + b"\r\n[", b"HTTP/1.1 401 "),
    )
    waiting = []
    for said, answer in (silent, slow_head, slow_body, no_key):
        connection = connected(served)
        connection.sendall(said)
        waiting.append((connection, answer))
    until = time.monotonic() + REQUEST_SECONDS + 10
    for connection, answer in waiting:
        with connection:
            connection.settimeout(until - time.monotonic())
            heard = b""
            while more := connection.recv(4096):
                heard += more
            assert heard.startswith(answer)
            assert bool(heard) == bool(answer)


def test_an_address_leaves_room_for_others(
    completed_run: CompletedRun, tmp_path_factory: pytest.TempPathFactory, walked_settings: Settings
) -> None:
    """Idle connections, and ones that begin a request and go no further, of one address."""
    limit = 20
    environ = {**completed_run.home.environ, "CHURN_API_CONNECTIONS": str(limit)}
    api = start(environ, "", tmp_path_factory.mktemp("crowded") / "api.log")
    try:
        begun = time.monotonic()
        open_ones = [connected(api) for _ in range(limit)]
        for each in open_ones[::2]:
            each.sendall(b"GET /health/live HTTP/1.1\r\nx: ")
        for _ in range(5):
            with connected(api) as surplus:
                answer = surplus.recv(4096)
                assert answer.startswith(b"HTTP/1.1 429 ") and b"too-many-connections" in answer
        # of another address of this machine
        other = socket.create_connection((LOOPBACK, api.port), 10, ("127.0.0.2", 0))
        with other:
            other.sendall(b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n")
            assert other.recv(4096).startswith(b"HTTP/1.1 200 ")
        # one that is closed makes room
        open_ones.pop().close()
        deadline = time.monotonic() + 5
        while not answers(api):
            assert time.monotonic() < deadline
        # the others are cut off, trickling or not
        for each in open_ones:
            each.settimeout(HEAD_SECONDS + 10)
            with each, suppress(OSError):
                assert each.recv(4096) == b""
        assert time.monotonic() - begun < HEAD_SECONDS + 10
        assert answers(api)
    finally:
        api.end()


def answers(api: Api) -> bool:
    with connected(api) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n")
        return connection.recv(4096).startswith(b"HTTP/1.1 200 ")


def connected(api: Api) -> socket.socket:
    return socket.create_connection((LOOPBACK, api.port), timeout=10)


def test_nothing_listens_beyond_loopback(served: Api) -> None:
    process = psutil.Process(served.process.pid)
    listening = [c for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert [tuple(each.laddr) for each in listening] == [("127.0.0.1", served.port)]
    assert not [each for each in process.children(recursive=True) if "java" in each.name()]


def test_the_log_holds_no_secret_and_no_customer(served: Api, completed_run: CompletedRun) -> None:
    served.churn(KNOWN)
    said = served.log.read_text()
    assert "GET /v1/customers/{customer_id}/churn 200" in said
    secrets = (completed_run.home.path / "secrets").rglob("*")
    kept = [each.read_text().strip() for each in secrets if each.is_file()]
    for secret in [served.key, hash_key(served.key), KNOWN, *kept]:
        assert secret not in said
    assert "Traceback" not in said


def test_the_check_of_a_supervisor(completed_run: CompletedRun, served: Api) -> None:
    import sys

    environ = {"CHURN_API_PORT": str(served.port)}
    completed_run.home.call([sys.executable, "-m", "serving.healthcheck"], code=0, **environ)


def test_drawn_requests_find_no_fault(served: Api) -> None:
    statuses = hold_against_description(served.address, served.key, KNOWN, cases=40, seed=42)
    assert statuses.total() - statuses[401] >= 70
    assert statuses[200] > 10
    assert max(statuses) < 500


@pytest.mark.long
def test_many_drawn_requests_find_no_fault(served: Api) -> None:
    statuses = hold_against_description(served.address, served.key, KNOWN, cases=1000, seed=7)
    # Without those that the key kept out.
    assert statuses.total() - statuses[401] >= 2000
    assert statuses[200] >= 900
    assert max(statuses) < 500
    assert "Traceback" not in served.log.read_text()


# --- faults -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_redis(
    walked_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OwnRedis]:
    redis = OwnRedis(tmp_path_factory.mktemp("redis"))
    redis.start()
    yield redis
    redis.stop()


@pytest.fixture(scope="module")
def shaken_home(
    completed_run: CompletedRun, own_redis: OwnRedis, tmp_path_factory: pytest.TempPathFactory
) -> ChurnHome:
    """A home with the same models, and an online store of its own."""
    path = tmp_path_factory.mktemp("shaken")
    shutil.copytree(completed_run.home.path / "models", path / "models")
    return ChurnHome(
        path, {**completed_run.home.environ, "CHURN_HOME": str(path), **own_redis.environ}
    )


@pytest.fixture(scope="module")
def shaken_api(
    walked_settings: Settings,
    shaken_home: ChurnHome,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:
    settings = read_settings(shaken_home.environ)
    fill(settings, walked_settings)
    key = keys.new(settings, "tests")
    api = start(
        {**shaken_home.environ, "CHURN_API_RATE": "1000000"},
        key,
        tmp_path_factory.mktemp("shaken-log") / "api.log",
    )
    yield api
    assert api.process.poll() is None
    api.end()


def fill(settings: Settings, source: Settings) -> None:
    """Copy all that is online."""
    with (
        online_store.ensure_running(source, print).client() as there,
        online_store.ensure_running(settings, print).client() as here,
    ):
        found = [key for key in there.scan_iter(count=10_000) if key != MARKER]
        reading, writing = (each.pipeline(transaction=False) for each in (there, here))
        for key in found:
            reading.hgetall(key)
        writing.flushall()
        for key, stored in zip(found, reading.execute(), strict=True):
            writing.hset(key, mapping=stored)
        writing.set(MARKER, there.get(MARKER))
        writing.execute()


@pytest.fixture
def shaken(shaken_api: Api, shaken_home: ChurnHome, walked_settings: Settings) -> Iterator[Api]:
    """The API that faults are done to; afterwards everything is as before."""
    yield shaken_api
    settings = read_settings(shaken_home.environ)
    with online_store.ensure_running(settings, print).client() as client:
        complete = client.dbsize() == CUSTOMERS + 1
    if not complete:
        fill(settings, walked_settings)


class Load:
    """Threads that ask without a pause; what they were answered, judged one by one."""

    def __init__(self, api: Api, ask: Callable[[Api], Answer], judge: Callable[[Answer], None]):
        self.statuses: Counter[int] = Counter()
        self.wrong: list[BaseException] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(api.other(), ask, judge)) for _ in range(3)
        ]

    def _run(self, api: Api, ask: Callable[[Api], Answer], judge: Callable[[Answer], None]) -> None:
        while not self._stop.is_set():
            try:
                answer = ask(api)
                self.statuses[answer.status] += 1
                judge(answer)
            except BaseException as fault:
                self.wrong.append(fault)
                return

    def __enter__(self) -> "Load":
        for each in self._threads:
            each.start()
        time.sleep(0.3)
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(0.3)
        self._stop.set()
        for each in self._threads:
            each.join(60)
        assert not self.wrong, self.wrong


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_of_redis_under_load_gives_no_wrong_answer(
    shaken: Api,
    own_redis: OwnRedis,
    scores: dict[str, dict[str, Any]],
    how: signal.Signals,
) -> None:
    ids = list(scores)[:50]

    def right(answer: Answer) -> None:
        if answer.status == 503:
            assert answer.problem == "online-store-down"
            assert answer.headers["retry-after"] == "1"
            return
        assert answer.status == 200, answer
        for each in answer.json["customers"]:
            assert each["found"]
            same_risk(each, scores[each["customer_id"]])

    with Load(shaken, lambda api: api.batch(ids), right) as load:
        own_redis.stop(how)
        answer = shaken.wait_until(503, f"/v1/customers/{KNOWN}/churn")
        assert answer.problem == "online-store-down"
        assert shaken.ask("GET", "/health/ready").status == 503
        assert shaken.ask("GET", "/health/live").status == 200
        own_redis.start()
        shaken.wait_until(200, f"/v1/customers/{KNOWN}/churn")
        shaken.wait_until(200)
    assert load.statuses[200] > 0
    assert shaken.process.poll() is None


def test_an_emptied_redis_is_404_and_not_ready(
    shaken: Api, shaken_home: ChurnHome, walked_settings: Settings
) -> None:
    settings = read_settings(shaken_home.environ)

    def fair(answer: Answer) -> None:
        assert answer.status in (200, 404), answer

    with Load(shaken, lambda api: api.churn(KNOWN), fair) as load:
        with online_store.ensure_running(settings, print).client() as client:
            client.flushall()
        answer = shaken.wait_until(503)
        assert answer.problem == "online-store-empty"
        assert shaken.churn(KNOWN).problem == "unknown-customer"
        fill(settings, walked_settings)
        shaken.wait_until(200)
    assert load.statuses[200] and load.statuses[404]


def test_a_redis_that_hangs_is_503_in_seconds(shaken: Api, own_redis: OwnRedis) -> None:
    process = own_redis._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        answer = shaken.churn(KNOWN)
        assert (answer.status, answer.problem) == (503, "online-store-down")
        assert time.monotonic() - begun < 5
    finally:
        process.send_signal(signal.SIGCONT)
    shaken.wait_until(200, f"/v1/customers/{KNOWN}/churn")


def test_old_and_incomplete_customers_get_no_number(  # long: one story
    shaken: Api, shaken_home: ChurnHome
) -> None:
    from feast.protos.feast.types.Value_pb2 import Value
    from google.protobuf.timestamp_pb2 import Timestamp

    from feature_repo.online.redis_layout import field

    unfit = [
        Value(double_val=float("nan")),
        Value(double_val=float("inf")),
        Value(double_val=-2.0),  # no month, and no logarithm
        Value(string_val="7"),
    ]

    stamp = Timestamp()
    stamp.FromDatetime(datetime(2024, 12, 8, tzinfo=UTC))
    key = redis_key(KNOWN)
    with online_store.ensure_running(read_settings(shaken_home.environ), print).client() as client:
        before = client.hgetall(key)
        confirmed = client.hget(DIGESTS, AS_OF)
        client.hset(key, TIMESTAMP_FIELD, stamp.SerializeToString())
        # Old is who was neither written nor confirmed since; the API asks for the latter
        # once a second.
        client.hdel(DIGESTS, AS_OF)
        shaken.wait_until(404, f"/v1/customers/{KNOWN}/churn")
        answer = shaken.churn(KNOWN)
        assert (answer.status, answer.problem) == (404, "expired-customer")
        assert "2024-12-08" in answer.json["title"]
        assert shaken.what_if(KNOWN, contract="One year").problem == "expired-customer"
        (told,) = shaken.batch([KNOWN]).json["customers"]
        assert told == {"customer_id": KNOWN, "found": False, "why": "expired"}
        client.hset(key, mapping=before)
        client.hset(DIGESTS, AS_OF, confirmed)

        for damaged in (None, b"\xff\xff", b"", *(each.SerializeToString() for each in unfit)):
            if damaged is None:
                client.hdel(key, field("tenure"))
            else:
                client.hset(key, field("tenure"), damaged)
            for answer in (shaken.churn(KNOWN), shaken.batch([KNOWN])):
                assert (answer.status, answer.problem) == (503, "features-missing")
        client.hset(key, mapping=before)

        stored = client.get(MARKER)
        for damaged in (b"{", b"[]", b"\xff", b'{"features": 7}'):
            client.set(MARKER, damaged)
            answer = shaken.ask("GET", "/health/ready")
            assert (answer.status, answer.problem) == (503, "features-missing")
        marker = json.loads(stored)
        marker["features"].remove("tenure")
        client.set(MARKER, json.dumps(marker))
        answer = shaken.ask("GET", "/health/ready")
        assert (answer.status, answer.problem) == (503, "features-missing")
        assert "tenure" in answer.json["title"]
        # While an extract is brought online there is no marker.
        client.delete(MARKER)
        assert shaken.ask("GET", "/health/ready").status == 200
        marker["features"].append("tenure")
        client.set(MARKER, json.dumps(marker))
    assert shaken.churn(KNOWN).status == 200


def test_a_swap_of_the_model_under_load_mixes_nothing(
    shaken: Api, shaken_home: ChurnHome, scores: dict[str, dict[str, Any]]
) -> None:
    settings = read_settings(shaken_home.environ)
    record = registry.read_record(settings, registry.champion_version(settings) or "")
    assert record is not None and isinstance(record.form, LinearModel)
    other = replace(
        record,
        version="20251203-another0",
        form=replace(record.form, intercept=record.form.intercept + 1),
    )
    lay_down(settings, record.version, other)
    ids = list(scores)[:100]
    # One more in the log-odds: no probability is the same.
    expected = {record.version: batches(shaken, ids)}
    registry.promote(settings, other.version)
    expected[other.version] = batches(shaken, ids)
    assert expected[other.version][ids[0]] != expected[record.version][ids[0]]
    seen: Counter[str] = Counter()

    def of_one_model(answer: Answer) -> None:
        assert answer.status == 200, answer
        told = answer.json
        seen[told["model_version"]] += 1
        right = expected[told["model_version"]]
        assert {each["customer_id"]: each for each in told["customers"]} == right

    with Load(shaken, lambda api: api.batch(ids), of_one_model):
        for number in range(40):
            registry.promote(settings, (record, other)[number % 2].version)
            time.sleep(0.05)
        champion = registry.folder(settings) / registry.CHAMPION
        champion.write_text('{"version": "2025')
        time.sleep(0.2)
        registry.promote(settings, record.version)
    assert min(seen[record.version], seen[other.version]) > 3
    assert shaken.churn(KNOWN).json["model_version"] == record.version


def lay_down(settings: Settings, scored: str, record: Any) -> None:
    """A version with the deciles of another one."""
    bounds = deciles.read(registry.folder(settings) / scored)
    assert bounds is not None
    with registry.draft(settings, record.version) as drafted:
        registry.publish(settings, drafted, record)
    deciles.write(registry.folder(settings) / record.version, bounds)


def test_the_embedded_store_is_found_again_on_another_port(
    completed_run: CompletedRun,
    walked_settings: Settings,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("embedded")
    shutil.copytree(completed_run.home.path / "models", path / "models")
    environ = {**completed_run.home.environ, "CHURN_HOME": str(path), "CHURN_API_RATE": "2"}
    settings = read_settings(environ)
    fill(settings, walked_settings)
    api = start(environ, keys.new(settings, "tests"), path / "api.log")
    service = online_store.service(settings)
    try:
        assert api.churn(KNOWN).status == 200
        service.stop()
        assert api.churn(KNOWN).problem == "online-store-down"
        before = settings_port(settings)
        online_store.ensure_running(settings, print)
        api.wait_until(200)
        assert before is None
        assert api.churn(KNOWN).status == 200

        # The same process for what a key may ask for: two whole batches, then two a second.
        statuses = [api.batch([UNKNOWN] * 1000).status for _ in range(3)]
        assert statuses[-1] == 429
        answer = api.batch([UNKNOWN] * 1000)
        assert answer.problem == "too-many-requests"
        assert int(answer.headers["retry-after"]) >= 1
    finally:
        api.end()
        service.stop()


def settings_port(settings: Settings) -> int | None:
    running = online_store.service(settings).find()
    return running.ports[0] if running else None
