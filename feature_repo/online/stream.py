"""Stream encoded commands to the online store on a separate connection, many at a time."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from lakehouse.online_store import Client

# Timeout in seconds; a server that is saving its data responds later.
RESPONSE_SECONDS = 60
RECEIVE_BYTES = 1 << 18


def encode_command(*words: bytes) -> bytes:
    """Return a command in the encoding of the Redis protocol."""
    counted = [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"*%d\r\n%b" % (len(words), b"".join(counted))


class Stream:
    """Connection that sends blocks of commands; each is in transit while the next one is encoded.

    The client's own methods create an object for each command and each reply, which takes longer
    than the server needs to write a customer.
    """

    def __init__(self, connection: Any) -> None:
        """Create a stream on a connection of the client's pool."""
        self._socket = connection._sock
        # Number of replies that have not been received yet
        self._missing = 0

    def send(self, commands: bytes, replies: int = 1) -> None:
        """Send commands whose `replies` are integers, and wait for the replies to earlier commands.

        Raises:
            redis.RedisError: The server refused a command or does not respond.
        """
        with _translate_errors():
            self._socket.sendall(commands)
        self._missing += replies
        self._receive_until(replies)

    def wait(self) -> None:
        """Wait until the server has executed everything that was sent.

        Raises:
            redis.RedisError: The server refused a command or does not respond.
        """
        self._receive_until(0)

    def ask(self, commands: bytes) -> bytes:
        """Return the unparsed replies to commands, of any type.

        Raises:
            redis.RedisError: The server does not respond.
        """
        token = secrets.token_hex(16).encode()
        end, replies = b"$%d\r\n%b\r\n" % (len(token), token), bytearray()
        with _translate_errors():
            self._socket.sendall(commands + encode_command(b"ECHO", token))
            while not replies.endswith(end):
                replies += self._receive()
        return bytes(replies[: -len(end)])

    def _receive_until(self, missing: int) -> None:
        with _translate_errors():
            while self._missing > missing:
                received = self._receive()
                if b"-" in received:
                    while not received.endswith(b"\r\n"):
                        received += self._receive()
                    refusal = received.partition(b"-")[2].partition(b"\r\n")[0]
                    raise redis.ResponseError(refusal.decode(errors="replace"))
                self._missing -= received.count(b"\n")

    def _receive(self) -> bytes:
        received: bytes = self._socket.recv(RECEIVE_BYTES)
        if not received:
            raise redis.ConnectionError("the connection was closed")
        return received


@contextmanager
def open_stream(client: Client) -> Iterator[Stream]:
    """Yield a stream on a separate connection.

    When the context ends without an error, the server has executed everything that was sent.
    """
    pool = client.connection_pool
    connection: Any = pool.get_connection()
    try:
        connection._sock.settimeout(RESPONSE_SECONDS)
        stream = Stream(connection)
        yield stream
        stream.wait()
    finally:
        # After an error, outstanding replies may still arrive; no later caller must read them.
        connection.disconnect()
        pool.release(connection)


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Translate the socket's errors into those of the Redis client."""
    try:
        yield
    except OSError as error:
        slow = isinstance(error, TimeoutError)
        raise (redis.TimeoutError if slow else redis.ConnectionError)(str(error)) from error
