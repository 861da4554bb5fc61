"""Java truststore with the authorities of AWS_CA_BUNDLE.

Other clients of the object store read that file themselves. Java does not read PEM, so its content
is also written in a format of Java's truststores.
"""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import NoEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import (
    PKCS12Certificate,
    serialize_java_truststore,
)

from lakehouse.atomic_write import atomic_write
from lakehouse.errors import InvalidInputError


def java_options(bundle: str | None, folder: Path) -> list[str]:
    """Return the options with which a Java process trusts only the authorities in the file.

    The truststore is written into the folder. Without a file, Java's default authorities apply.

    Raises:
        InvalidInputError: If the file does not exist or contains no certificates.
    """
    if not bundle:
        return []
    try:
        certificates = x509.load_pem_x509_certificates(Path(bundle).read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            f"The certificates of the object store's authorities can't be read: {error}",
            where=f"AWS_CA_BUNDLE, {bundle}",
            hint="name a file of certificates in PEM, or leave the variable out",
        ) from error
    entries = [
        PKCS12Certificate(certificate, f"{n}".encode())
        for n, certificate in enumerate(certificates)
    ]
    store = folder / "authorities.p12"
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(store) as draft:
        draft.write_bytes(serialize_java_truststore(entries, NoEncryption()))
    return [f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStoreType=PKCS12"]
