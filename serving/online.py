"""Read customers' hashes from the online store, without waiting for anything else."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from feature_repo.online.redis_layout import AS_OF, DIGESTS, MARKER, redis_key
from lakehouse import online_store
from lakehouse.errors import ChurnError
from lakehouse.settings import Settings
from serving import errors

# Seconds: a store that is slower than this is considered down.
CONNECT, ANSWER = 1.0, 1.0
CONNECTIONS = 32
# Hashes per request to the store: other waiting requests are answered in between.
AT_ONCE = 100

# Seconds that reads may lag behind when an extract confirms customers whose features it left
# unchanged.
CONFIRMED = 1.0

Hash = dict[bytes, bytes]
# Its commands are typed for both clients, the blocking and the asynchronous one.
Client: TypeAlias = Any
Found = TypeVar("Found")
FAULTS = (RedisError, OSError, asyncio.TimeoutError)


class OnlineStore:
    """A client that connects on first use, and reconnects if the store was unavailable.

    The embedded server restarts on another port: after an error its address is looked up again.
    """

    def __init__(self, settings: Settings) -> None:
        """Create the client without connecting."""
        self._settings = settings
        self._address: online_store.Address | None = None
        self._client: Client | None = None
        self._as_of: bytes | None = None
        self._asked_at = -CONFIRMED

    async def customer(self, customer_id: str) -> Hash:
        """Return the customer's hash; empty if there is none.

        Raises:
            serving.errors.ProblemError: The store does not respond.
        """
        key = redis_key(customer_id)
        return await self._ask(lambda client: client.hgetall(key))

    async def customers(self, ids: Sequence[str]) -> list[Hash]:
        """Return the hashes of at most AT_ONCE customers, in the order of `ids`.

        Raises:
            serving.errors.ProblemError: The store does not respond.
        """
        keys = [redis_key(each) for each in ids]

        async def work(client: Client) -> list[Hash]:
            async with client.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.hgetall(key)
                return list(await pipeline.execute())

        return await self._ask(work)

    async def as_of(self) -> bytes | None:
        """Return the timestamp of the extract with which the store was last complete, or None.

        It is encoded as `redis_layout.read_row` requires it, and may lag behind by CONFIRMED
        seconds.

        Raises:
            serving.errors.ProblemError: The store does not respond.
        """
        now = time.monotonic()
        if now - self._asked_at >= CONFIRMED:
            self._as_of = await self._ask(lambda client: client.hget(DIGESTS, AS_OF))
            self._asked_at = now
        return self._as_of

    async def state(self) -> tuple[int, bytes | None]:
        """Return the number of keys in the store, and the content of its marker.

        Raises:
            serving.errors.ProblemError: The store does not respond.
        """

        async def work(client: Client) -> tuple[int, bytes | None]:
            return await client.dbsize(), await client.get(MARKER)

        return await self._ask(work)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _ask(self, ask: Callable[[Client], Awaitable[Found]]) -> Found:
        client = self._client or await self._connect(None)
        try:
            return await ask(client)
        except FAULTS as error:
            again = await self._connect(client)
            if again is client:
                raise errors.store_down(_why(error)) from error
        try:
            return await ask(again)
        except FAULTS as error:
            raise errors.store_down(_why(error)) from error

    async def _connect(self, failed: Client | None) -> Client:
        """Return a client for the store's current address; `failed` if the address is unchanged."""
        if self._client is not failed and self._client is not None:
            return self._client  # another request has reconnected already
        try:
            address = online_store.find(self._settings)
        except ChurnError as error:
            raise errors.store_down(error.message) from error
        if address is None:
            raise errors.store_down("the embedded server is not running")
        if failed is not None and address == self._address:
            return failed
        self._address, self._client = address, _client(address)
        if failed is not None:
            await failed.aclose()
        return self._client


def _client(address: online_store.Address) -> Client:
    options: dict[str, Any] = {**address.connection_options}
    kind = redis.asyncio.SSLConnection if options.pop("ssl", False) else redis.asyncio.Connection
    pool = redis.asyncio.BlockingConnectionPool(
        connection_class=kind,
        max_connections=CONNECTIONS,
        # Seconds to wait for a free connection.
        timeout=ANSWER,
        socket_connect_timeout=CONNECT,
        socket_timeout=ANSWER,
        # Retry once, on a new connection: the store may have restarted since the last request.
        retry=Retry(NoBackoff(), 1),
        **options,
    )
    return redis.asyncio.Redis(connection_pool=pool)


def _why(error: BaseException) -> str:
    """Return the type of an error; its message may contain hosts and ports, which stay private."""
    return type(error).__name__
