"""A connection to the online store that takes commands in the protocol's form, many at a time."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from lakehouse.online_store import Client

# Seconds; a server that saves its data answers later.
ANSWER = 60
RECEIVED = 1 << 18


def command(*words: bytes) -> bytes:
    """A command in the protocol's form."""
    counted = [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"*%d\r\n%b" % (len(words), b"".join(counted))


class Stream:
    """Sends blocks of commands. Each block is under way while the next one is made.

    The client's own way makes an object of each command and each reply, which takes longer than the
    server takes to write a customer.
    """

    def __init__(self, connection: Any) -> None:
        self._socket = connection._sock
        # Replies that have not come yet
        self._missing = 0

    def send(self, commands: bytes, replies: int = 1) -> None:
        """Send commands whose `replies` are whole numbers, and wait for those sent before.

        Raises:
            redis.RedisError: the server refused one, or does not answer.
        """
        with _faults_of_redis():
            self._socket.sendall(commands)
        self._missing += replies
        self._receive_until(replies)

    def wait(self) -> None:
        """Wait until everything that was sent has been done; raises as `send`."""
        self._receive_until(0)

    def ask(self, commands: bytes) -> bytes:
        """The replies to commands, of whatever kind and as they come; raises as `send`."""
        token = secrets.token_hex(16).encode()
        end, replies = b"$%d\r\n%b\r\n" % (len(token), token), bytearray()
        with _faults_of_redis():
            self._socket.sendall(commands + command(b"ECHO", token))
            while not replies.endswith(end):
                replies += self._received()
        return bytes(replies[: -len(end)])

    def _receive_until(self, missing: int) -> None:
        with _faults_of_redis():
            while self._missing > missing:
                received = self._received()
                if b"-" in received:
                    while not received.endswith(b"\r\n"):
                        received += self._received()
                    refusal = received.partition(b"-")[2].partition(b"\r\n")[0]
                    raise redis.ResponseError(refusal.decode(errors="replace"))
                self._missing -= received.count(b"\n")

    def _received(self) -> bytes:
        received: bytes = self._socket.recv(RECEIVED)
        if not received:
            raise redis.ConnectionError("the connection was closed")
        return received


@contextmanager
def streaming(client: Client) -> Iterator[Stream]:
    """A stream on a connection of its own; at the end all that was sent is done."""
    pool = client.connection_pool
    connection: Any = pool.get_connection()
    try:
        connection._sock.settimeout(ANSWER)
        stream = Stream(connection)
        yield stream
        stream.wait()
    finally:
        # What may still be under way after a fault is nobody's reply.
        connection.disconnect()
        pool.release(connection)


@contextmanager
def _faults_of_redis() -> Iterator[None]:
    """The socket's faults, as the client would tell them."""
    try:
        yield
    except OSError as fault:
        slow = isinstance(fault, TimeoutError)
        raise (redis.TimeoutError if slow else redis.ConnectionError)(str(fault)) from fault
