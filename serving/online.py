"""Customers' hashes from the online store, without waiting for anything else."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from feature_repo.online.redis_layout import AS_OF, LEDGER, MARKER, redis_key
from lakehouse import online_store
from lakehouse.errors import ChurnError
from lakehouse.settings import Settings
from serving import errors

# Seconds: a store that is slower than this counts as down.
CONNECT, ANSWER = 1.0, 1.0
CONNECTIONS = 32
# Hashes in one go: what else waits is answered in between.
AT_ONCE = 100

# Seconds that readers may lag behind when an extract confirms customers whose features it left.
CONFIRMED = 1.0

Hash = dict[bytes, bytes]
# Its commands are typed for both clients, the blocking one and this.
Client: TypeAlias = Any
Found = TypeVar("Found")
FAULTS = (RedisError, OSError, asyncio.TimeoutError)


class OnlineStore:
    """Reads customers; connects when it is asked, and anew when the store was away.

    The embedded server comes back on another port: after a fault its place is looked up again.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._address: online_store.Address | None = None
        self._client: Client | None = None
        self._as_of: bytes | None = None
        self._asked_at = -CONFIRMED

    async def customer(self, customer_id: str) -> Hash:
        """The customer's hash; empty where there is none.

        Raises:
            serving.errors.Problem: the store does not answer.
        """
        key = redis_key(customer_id)
        return await self._asked(lambda client: client.hgetall(key))

    async def customers(self, ids: Sequence[str]) -> list[Hash]:
        """The hashes of at most AT_ONCE customers, in their order; see `customer`."""
        keys = [redis_key(each) for each in ids]

        async def work(client: Client) -> list[Hash]:
            async with client.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.hgetall(key)
                return list(await pipeline.execute())

        return await self._asked(work)

    async def as_of(self) -> bytes | None:
        """Of which extract the store was whole last, as `layout.read_row` takes it; see above."""
        now = time.monotonic()
        if now - self._asked_at >= CONFIRMED:
            self._as_of = await self._asked(lambda client: client.hget(LEDGER, AS_OF))
            self._asked_at = now
        return self._as_of

    async def state(self) -> tuple[int, bytes | None]:
        """How many keys the store holds, and what its marker says; see `customer`."""

        async def work(client: Client) -> tuple[int, bytes | None]:
            return await client.dbsize(), await client.get(MARKER)

        return await self._asked(work)

    async def close(self) -> None:
        """Close what is open."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _asked(self, ask: Callable[[Client], Awaitable[Found]]) -> Found:
        client = self._client or await self._connected(None)
        try:
            return await ask(client)
        except FAULTS as fault:
            again = await self._connected(client)
            if again is client:
                raise errors.store_down(_why(fault)) from fault
        try:
            return await ask(again)
        except FAULTS as fault:
            raise errors.store_down(_why(fault)) from fault

    async def _connected(self, failed: Client | None) -> Client:
        """The client for where the store is now; the same one where that is the same place."""
        if self._client is not failed and self._client is not None:
            return self._client  # another request was here first
        try:
            address = online_store.find(self._settings)
        except ChurnError as fault:
            raise errors.store_down(fault.what) from fault
        if address is None:
            raise errors.store_down("the embedded server is not running")
        if failed is not None and address == self._address:
            return failed
        self._address, self._client = address, _client(address)
        if failed is not None:
            await failed.aclose()
        return self._client


def _client(address: online_store.Address) -> Client:
    options: dict[str, Any] = {**address.place}
    kind = redis.asyncio.SSLConnection if options.pop("ssl", False) else redis.asyncio.Connection
    pool = redis.asyncio.BlockingConnectionPool(
        connection_class=kind,
        max_connections=CONNECTIONS,
        # Seconds to wait for a free connection.
        timeout=ANSWER,
        socket_connect_timeout=CONNECT,
        socket_timeout=ANSWER,
        # Once more, on a new connection: the store was restarted since the last request.
        retry=Retry(NoBackoff(), 1),
        **options,
    )
    return redis.asyncio.Redis(connection_pool=pool)


def _why(fault: BaseException) -> str:
    """The kind of fault; its words may name hosts and ports, which are nobody's business."""
    return type(fault).__name__
