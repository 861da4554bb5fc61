"""The guard of the local sites: which request it lets through, and as whom."""

import asyncio
import base64
import os
import secrets
import stat
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from churn.operations.mlflow_artifacts import is_within
from churn.operations.site_server import READER_PAGES
from churn.reports.site_guard import (
    USER,
    Readers,
    SiteGuard,
    is_named,
    site_password,
)
from lakehouse.settings import read_settings
from lakehouse.sites import LOOPBACK_NAMES

PASSWORD = secrets.token_urlsafe()
LOGIN = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
GOOD = [("host", "127.0.0.1:8081"), ("authorization", f"Basic {LOGIN}")]
FOLLOWED = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]


async def site(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"customers"})


def ask(headers: list[tuple[str, str]], method: str = "GET", **options: Any) -> httpx.Response:
    path = options.pop("path", "/")

    async def call() -> httpx.Response:
        guard = SiteGuard(site, options.pop("password", PASSWORD), **options)
        transport = httpx.ASGITransport(guard)
        async with httpx.AsyncClient(transport=transport) as client:
            request = client.build_request(method, f"http://a{path}", headers=headers)
            return await client.send(request)

    return asyncio.run(call())


def with_header(name: str, value: str | None) -> list[tuple[str, str]]:
    kept = [pair for pair in GOOD if pair[0] != name]
    return kept if value is None else [*kept, (name, value)]


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1", True),
        ("localhost:8081", True),
        ("LOCALHOST", True),
        ("[::1]:8081", True),
        ("", False),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example:8081", False),
        ("localhost@evil.example", False),
        ("evil.example@localhost", False),
        ("0.0.0.0", False),
        ("[::1", False),
    ],
)
def test_only_names_of_loopback_are_answered(host: str, is_ours: bool) -> None:
    assert is_named(host, LOOPBACK_NAMES) == is_ours
    answer = ask(with_header("host", host))
    assert answer.status_code == (200 if is_ours else 421)


def test_a_request_of_the_user_is_answered_and_no_page_may_use_the_answer() -> None:
    answer = ask(GOOD)
    assert (answer.status_code, answer.text) == (200, "customers")
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"


@pytest.mark.parametrize(
    "login",
    [
        *(None, "", "Basic", "Basic ", "Basic !", f"Bearer {LOGIN}", LOGIN, f"Basic {LOGIN}x"),
        f"Basic {base64.b64encode(PASSWORD.encode()).decode()}",
        f"Basic {base64.b64encode(f'{USER}:'.encode()).decode()}",
        f"Basic {base64.b64encode(f'root:{PASSWORD}'.encode()).decode()}",
        f"Basic {base64.b64encode(f'{USER}:{PASSWORD} '.encode()).decode()}",
    ],
    # Not by their values, which are others each time: processes that share the tests compare ids.
    ids=map(str, range(12)),
)
def test_without_the_password_nothing_is_told(login: str | None) -> None:
    answer = ask(with_header("authorization", login))
    assert answer.status_code == 401
    assert "customers" not in answer.text and PASSWORD not in answer.text
    assert answer.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize(
    ("headers", "reads", "writes"),
    [
        ([], True, True),  # a program
        ([("sec-fetch-site", "same-origin")], True, True),
        ([("sec-fetch-site", "none")], True, True),  # typed in
        ([("sec-fetch-site", "cross-site")], False, False),
        ([("sec-fetch-site", "cross-site"), *FOLLOWED], False, False),
        ([("sec-fetch-site", "same-site")], False, False),
        # a link on another site of this machine
        ([("sec-fetch-site", "same-site"), *FOLLOWED], True, False),
        (
            [("sec-fetch-site", "same-site"), FOLLOWED[0], ("sec-fetch-dest", "iframe")],
            False,
            False,
        ),
        ([("sec-fetch-site", "anything")], False, False),
        ([("origin", "http://127.0.0.1:8081")], True, True),
        ([("origin", "http://127.0.0.1:9999")], False, False),
        ([("origin", "https://elsewhere.example")], False, False),
        ([("origin", "null")], False, False),
    ],
)
def test_no_page_of_another_site_gets_an_answer(
    method: str, headers: list[tuple[str, str]], reads: bool, writes: bool
) -> None:
    passes = reads if method in ("GET", "HEAD") else writes
    assert ask([*GOOD, *headers], method).status_code == (200 if passes else 403)


@pytest.mark.parametrize(
    "name",
    ["host", "authorization", "origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"],
)
def test_a_header_that_comes_twice_is_refused(name: str) -> None:
    given = dict(GOOD).get(name, "same-origin")
    assert ask([*with_header(name, given), (name, given)]).status_code == 400


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "anything"]
)
def test_a_site_that_is_read_takes_no_other_method(method: str) -> None:
    assert ask(GOOD, method, read_only=True).status_code == 405
    assert ask(GOOD, "GET", read_only=True).status_code == 200


def test_a_site_answers_to_a_name_that_it_was_given() -> None:
    headers = with_header("host", "mlflow:5000")
    assert ask(headers).status_code == 421
    assert ask(headers, hosts=["mlflow"]).status_code == 200
    assert ask(headers, hosts=["MLFLOW"], password=None).status_code == 200


def test_a_reader_opens_pages_without_customers() -> None:
    readers = Readers(
        lambda name, key: (name, key) == ("analyst", "key"), READER_PAGES, ("/models/",)
    )

    def status(path: str, login: str = "analyst:key") -> int:
        coded = base64.b64encode(login.encode()).decode()
        headers = with_header("authorization", f"Basic {coded}")
        return ask(headers, readers=readers, path=path).status_code

    opened = ("/", "/index.html", "/dbt/index.html", "/models/v1/evaluation.html")
    assert [status(path) for path in opened] == [200] * len(opened)
    closed = ("/trace", "/metrics", "/runs/r/report.html", "/models/%2e%2e/runs/r", "/modelsx")
    assert [status(path) for path in closed] == [403] * len(closed)
    for login in ("analyst:other", "other:key", "analyst:", f"{USER}:key", "analyst"):
        assert status("/", login) == 401
    assert ask(GOOD, readers=readers, path="/trace").status_code == 200


def test_no_socket_is_opened_past_the_guard() -> None:
    sent: list[Any] = []

    async def call() -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "websocket", "headers": [(b"host", b"127.0.0.1")]}
        await SiteGuard(site, None)(scope, send, send)

    asyncio.run(call())
    assert [each["type"] for each in sent] == ["websocket.close"]


def test_the_password_is_made_once_and_its_owners(tmp_path: Path) -> None:
    settings = read_settings({"CHURN_HOME": str(tmp_path / "home")})
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(site_password(settings))) for _ in range(8)
    ]
    before = os.umask(0)
    try:
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    finally:
        os.umask(before)
    assert len(found) == 8 and len(set(found)) == 1 and len(found[0]) >= 32
    (file,) = (settings.home / "secrets").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


ROOT = "file:///home/mlflow/artifacts"


@pytest.mark.parametrize(
    ("address", "root", "inside"),
    [
        (ROOT, ROOT, True),
        (f"{ROOT}/1/run", ROOT, True),
        ("/home/mlflow/artifacts/1", ROOT, True),
        ("file:///etc", ROOT, False),
        ("/etc", ROOT, False),
        ("etc", ROOT, False),
        (f"{ROOT}/../mlflow.db", ROOT, False),
        (f"{ROOT}/%2e%2e/mlflow.db", ROOT, False),
        (f"{ROOT}-of-others", ROOT, False),
        ("s3://bucket/mlflow", ROOT, False),
        ("http://127.0.0.1:8000/", ROOT, False),
        ("ftp://user@host/", ROOT, False),
        ("hdfs://host/", ROOT, False),
        ("mlflow-artifacts:/1", ROOT, True),
        ("mlflow-artifacts:/../1", ROOT, False),
        ("mlflow-artifacts://elsewhere.example/1", ROOT, False),
        ("s3://lake/churn/_mlflow", "s3://lake/churn/_mlflow", True),
        ("s3://lake/churn/_mlflow/1/a", "s3://lake/churn/_mlflow", True),
        ("s3://lake/churn/_mlflow/../bronze", "s3://lake/churn/_mlflow", False),
        ("s3://lake/churn/_mlflow2", "s3://lake/churn/_mlflow", False),
        ("s3://lake/churn/bronze", "s3://lake/churn/_mlflow", False),
        ("file:///etc", "s3://lake/churn/_mlflow", False),
    ],
)
def test_artifacts_lie_in_one_place(address: str, root: str, inside: bool) -> None:
    assert is_within(address, root) == inside
