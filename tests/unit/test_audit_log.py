"""The audit log: one private line per action, customers by keyed hash only."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lakehouse import audit_log
from lakehouse.audit_log import Action
from lakehouse.errors import ChurnError
from lakehouse.settings import Settings, read_settings
from serving import keys
from trainer import registry

CUSTOMER = "7590-VHVEG"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"CHURN_HOME": str(tmp_path / "home")})


def entries(settings: Settings) -> list[dict[str, Any]]:
    return [json.loads(line) for line in audit_log.audit_file(settings).read_text().splitlines()]


def test_a_customer_is_named_by_a_hash_that_the_home_can_make_again(settings: Settings) -> None:
    audit_log.append(settings, Action.TRACE, [CUSTOMER, "other"], run="r")
    audit_log.append(settings, Action.ERASURE, [CUSTOMER], rows=3)
    assert CUSTOMER not in audit_log.audit_file(settings).read_text()
    named = audit_log.hash_customer(settings, CUSTOMER)
    found = [entry["action"] for entry in entries(settings) if named in entry["customers"]]
    assert found == ["trace", "erasure"]
    assert entries(settings)[0]["run"] == "r"
    assert entries(settings)[0]["user"]


def test_another_home_has_other_hashes(settings: Settings, tmp_path: Path) -> None:
    other = read_settings({"CHURN_HOME": str(tmp_path / "other")})
    assert audit_log.hash_customer(other, CUSTOMER) != audit_log.hash_customer(settings, CUSTOMER)


def test_it_is_private_and_only_grows(settings: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: audit_log.append(settings, Action.SHOW, number=n), range(80)))
    path = audit_log.audit_file(settings)
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)]
    assert modes == [0o600, 0o700]
    assert sorted(entry["number"] for entry in entries(settings)) == list(range(80))


def test_without_an_entry_there_is_no_key(settings: Settings) -> None:
    settings.home.mkdir()
    (settings.home / "audit").write_text("no folder")
    with pytest.raises(ChurnError, match="audit log can't be written"):
        keys.new(settings, "team")
    assert keys.names(settings) == []


def test_keys_and_promotions_are_logged(settings: Settings) -> None:
    key = keys.new(settings, "team")
    keys.revoke(settings, "team")
    registry.folder(settings).mkdir()
    registry.promote(settings, "20250101-aaaaaaaa", registry.PROMOTE, "because", "ada")
    assert key not in audit_log.audit_file(settings).read_text()
    logged = [
        (entry["action"], entry.get("key"), entry.get("version")) for entry in entries(settings)
    ]
    assert logged == [
        ("key created", "team", None),
        ("key revoked", "team", None),
        ("promotion", None, "20250101-aaaaaaaa"),
    ]
