"""A load generator: connections that are kept open, one request after the other on each."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from lakehouse.settings import LOOPBACK


@dataclass(frozen=True)
class Measured:
    """Milliseconds of the middle and of the slowest hundredth, and requests a second."""

    p50: float
    p99: float
    throughput: float


def load(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Measured:
    """Ask for `seconds`, each connection for one request after the other."""
    return asyncio.run(_load(port, requests, connections, seconds))


async def _load(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Measured:
    begun = time.perf_counter()
    until = begun + seconds
    each = await asyncio.gather(
        *(_ask(port, requests[k::connections], until) for k in range(connections))
    )
    took = time.perf_counter() - begun
    times = sorted(time for times in each for time in times)
    return Measured(
        p50=statistics.median(times) * 1000,
        p99=times[int(len(times) * 0.99)] * 1000,
        throughput=len(times) / took,
    )


async def _ask(port: int, requests: Sequence[bytes], until: float) -> list[float]:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    times: list[float] = []
    while True:
        for request in requests:
            begun = time.perf_counter()
            if begun > until:
                writer.close()
                return times
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            _, _, rest = head.partition(b"content-length: ")
            await reader.readexactly(int(rest.split(b"\r\n", 1)[0]))
            times.append(time.perf_counter() - begun)


def get(path: str, key: str) -> bytes:
    """A GET request, as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n\r\n".encode()


def post(path: str, key: str, body: bytes) -> bytes:
    """A POST request with a JSON body."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
