"""A certificate authority, a server certificate signed by it, and a TLS endpoint for a server."""

import asyncio
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from environments import quiet_port

from lakehouse.settings import LOOPBACK


@dataclass(frozen=True)
class Identity:
    """PEM files: whom clients are to trust, and what a server on loopback shows."""

    authority: Path
    certificate: Path
    key: Path


def new_identity(folder: Path) -> Identity:
    made = Identity(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    root, root_key = _certificate("authority", None)
    server, server_key = _certificate(LOOPBACK, (root, root_key))
    pem = serialization.Encoding.PEM
    made.authority.write_bytes(root.public_bytes(pem))
    made.certificate.write_bytes(server.public_bytes(pem))
    made.key.write_bytes(
        server_key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made


Signed = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _certificate(name: str, issuer: Signed | None) -> Signed:
    """Signed by the issuer, or an authority signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    building = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        address = x509.IPAddress(ipaddress.ip_address(name))
        building = building.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return building.sign(issuer[1] if issuer else key, hashes.SHA256()), key


@contextmanager
def tls_endpoint(identity: Identity, port: int) -> Iterator[int]:
    """Terminate TLS in front of a server without TLS; yield the port of the TLS endpoint."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    tls_port, loop = quiet_port(), asyncio.new_event_loop()

    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside = await asyncio.open_connection(LOOPBACK, port)
        await asyncio.gather(_copy(reader, inside[1]), _copy(inside[0], writer))

    opened = loop.run_until_complete(asyncio.start_server(hand_on, LOOPBACK, tls_port, ssl=context))
    serving = threading.Thread(target=loop.run_forever, daemon=True)
    serving.start()
    try:
        yield tls_port
    finally:
        loop.call_soon_threadsafe(opened.close)
        loop.call_soon_threadsafe(loop.stop)
        serving.join()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        target.close()
