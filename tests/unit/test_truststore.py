"""Whom Java is told to trust."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12
from tls import new_identity

from lakehouse.errors import InvalidInputError
from lakehouse.truststore import java_options


def test_without_a_file_java_trusts_whom_it_always_does(tmp_path: Path) -> None:
    assert java_options(None, tmp_path) == java_options("", tmp_path) == []
    assert not any(tmp_path.iterdir())


def test_the_authorities_of_the_file_are_those_of_the_store(tmp_path: Path) -> None:
    identity = new_identity(tmp_path)
    folder = tmp_path / "spark"
    store, kind = java_options(str(identity.authority), folder)
    assert kind == "-Djavax.net.ssl.trustStoreType=PKCS12"
    written = Path(store.partition("=")[2])
    assert written.parent == folder
    key, _, found = pkcs12.load_key_and_certificates(written.read_bytes(), None)
    assert key is None
    assert [each.subject.rfc4514_string() for each in found] == ["CN=authority"]


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_file_that_names_nobody_is_explained(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ours.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidInputError, match="AWS_CA_BUNDLE") as raised:
        java_options(str(file), tmp_path / "spark")
    assert str(file) in str(raised.value)
