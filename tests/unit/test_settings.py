"""The settings: their reference table is current, secrets are masked, numbers are checked."""

from dataclasses import replace
from pathlib import Path

import pytest

from lakehouse.errors import InvalidInputError
from lakehouse.settings import MASK, NAMES, PROJECT, read_settings, reference, variable


def test_the_reference_table_in_the_docs_is_current() -> None:
    lines = (PROJECT / "docs" / "settings.md").read_text().splitlines()
    assert [line for line in lines if line.startswith("|")] == list(reference())


def test_every_setting_is_read_from_its_variable(tmp_path: Path) -> None:
    given = {variable(name): "7" for name in NAMES} | {
        "CHURN_PROMOTION": "ask",
        "CHURN_LOG_FORMAT": "json",
    }
    settings = read_settings(given, tmp_path)
    places = {"home": tmp_path / "7", "lake_uri": f"{tmp_path}/7", "landing": f"{tmp_path}/7"}
    for name in NAMES:
        assert getattr(settings, name) in (7, "7", "ask", "json", places.get(name)), name
    assert read_settings(dict.fromkeys(given, ""), tmp_path) == read_settings({}, tmp_path)


def test_no_secret_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "word"
    file.write_text("open sesame\n")
    passwords = [variable(name) for name in NAMES if name.endswith("_password")]
    passwords.append("CHURN_NOTIFY")
    secrets = [*passwords, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    settings = read_settings({f"{name}_FILE": str(file) for name in secrets}, tmp_path)
    assert settings.redis_password == settings.aws["AWS_ACCESS_KEY_ID"] == "open sesame"
    assert [settings.mask_secrets()[name] for name in secrets] == [MASK] * len(secrets)
    assert "sesame" not in repr(replace(settings, api_rate=1))


def test_an_unknown_word_is_named_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="CHURN_PROMOTION=never is unknown") as found:
        read_settings({"CHURN_PROMOTION": "never"}, tmp_path)
    assert found.value.hint == "set it to auto or ask; the default is auto"


@pytest.mark.parametrize("text", ["many", "0", "70000", "80.5", "\uff11\uff12"])
def test_a_number_that_is_none_is_named_with_its_range(text: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=f"CHURN_THRIFT_PORT={text} is not a port") as found:
        read_settings({"CHURN_THRIFT_PORT": text}, tmp_path)
    assert found.value.hint == "give a number from 1 to 65535; the default is 10000"
