"""Encode rows of features as bytes of the Redis protocol, many rows at a time.

The stored bytes are identical to those that Feast's own Redis store would write: Feast's own
messages serialise each distinct value, and numpy arranges the bytes of all rows side by side. Rows
whose values have the same lengths form a block, a matrix of bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast.protos.feast.types.Value_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from feature_repo.online.redis_layout import (
    TIMESTAMP_FIELD,
    decode_timestamp,
    encode_timestamp,
    field,
    redis_key,
)
from lakehouse.errors import ChurnError

# Rows of a matrix: as many as fit into the processor's cache.
BLOCK_ROWS = 2048
# Integers within a range of this size are indexed by their distance from the smallest.
NEAR_RANGE = 4096
MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Column:
    """The serialised values of a column: row i is `table[codes[i], : lengths[codes[i]]]`.

    Attributes:
        table: Distinct values × bytes, padded with zeros.
        codes: Index of the distinct value, by row.
        lengths: Length in bytes, by distinct value.
    """

    table: NDArray[np.uint8]
    codes: NDArray[np.int64]
    lengths: NDArray[np.int64]


def _with_length(text: bytes) -> bytes:
    return len(text).to_bytes(4, "little") + text


# The bytes before and after the id and its length are the same in every key.
PROBE = "any customer at all"
BEFORE, _, AFTER = redis_key(PROBE).partition(_with_length(PROBE.encode()))


@dataclass(frozen=True)
class ReadBatch:
    """A block of rows to read from the store, with the expected answer.

    Attributes:
        rows: The rows.
        commands: The commands that read them.
        answer: The expected replies.
        stamp: Offset of the timestamp in the reply for each row.
    """

    rows: pa.RecordBatch
    commands: bytes
    answer: bytes
    stamp: int

    def matches(self, replies: bytes, as_of: datetime) -> bool:
        """Return whether the replies equal the rows.

        Every byte must be equal, except that a timestamp may be any that is not after `as_of`.
        """
        if len(replies) != len(self.answer):
            return False
        ours, theirs = (
            np.frombuffer(content, np.uint8).reshape(self.rows.num_rows, -1)
            for content in (self.answer, replies)
        )
        # A customer whose features were the same in a later extract keeps the earlier timestamp.
        start, end = self.stamp, self.stamp + len(_encode_string(encode_timestamp(as_of)))
        stamps = {stamp.tobytes() for stamp in np.unique(theirs[:, start:end], axis=0)}
        return (
            np.array_equal(ours[:, :start], theirs[:, :start])
            and np.array_equal(ours[:, end:], theirs[:, end:])
            and all(_is_stamp_until(stamp, as_of) for stamp in stamps)
        )


class RespEncoder:
    """Encoder of the commands that write rows, and of those that read them and their replies."""

    def __init__(self, features: Sequence[str]) -> None:
        """Create an encoder for rows with these features."""
        self.features = list(features)
        self._fields = [TIMESTAMP_FIELD, *map(field, features)]

    def encode_writes(self, rows: pa.RecordBatch) -> Iterator[tuple[int, bytes]]:
        """Return the commands that write the rows, in blocks: the row count and the bytes.

        `rows` contains customer_id, event_timestamp and the features.
        """
        columns = self._columns(rows)
        count = 2 + 2 * len(self._fields)
        pieces: list[bytes | Column] = [
            _encode_array_header(count) + _encode_string(b"HSET"),
            columns[0],
        ]
        for name, column in zip(self._fields, columns[1:], strict=True):
            pieces += [_encode_string(name), column]
        return _encode_blocks(pieces, rows.num_rows)

    def encode_reads(self, rows: pa.RecordBatch) -> Iterator["ReadBatch"]:
        """Yield the commands that read the rows, in blocks, with the expected answers."""
        columns = self._columns(rows)
        head = _encode_array_header(2 * len(self._fields))
        answer: list[bytes | Column] = [head]
        for name, column in zip(self._fields, columns[1:], strict=True):
            answer += [_encode_string(name), column]
        commands: list[bytes | Column] = [
            _encode_array_header(2) + _encode_string(b"HGETALL"),
            columns[0],
        ]
        stamp = len(head + _encode_string(self._fields[0]))
        for chosen in _select_columns(columns, rows.num_rows):
            block = rows.take(pa.array(chosen))
            yield ReadBatch(
                block, _build_matrix(commands, chosen), _build_matrix(answer, chosen), stamp
            )

    def _columns(self, rows: pa.RecordBatch) -> list[Column]:
        stamps = _encode_timestamps(rows["event_timestamp"])
        return [
            _encode_keys(rows["customer_id"]),
            stamps,
            *(_encode_values(rows[feature]) for feature in self.features),
        ]


def encode_keys(customer_ids: pa.Array) -> list[bytes]:
    """Return the keys of many customers at once; they equal those of `redis_layout.redis_key`."""
    if len(customer_ids) == 0:
        return []
    texts = [customer_id.encode() for customer_id in customer_ids.to_pylist()]
    made = [BEFORE + _with_length(text) + AFTER for text in texts]
    assert made[-1] == redis_key(texts[-1].decode())
    return made


def decode_customer_id(key: bytes) -> str:
    """Return the id of the customer with this key."""
    return key[len(BEFORE) + 4 : len(key) - len(AFTER)].decode()


def _encode_keys(customer_ids: pa.Array) -> Column:
    return _build_column(encode_keys(customer_ids))


def _encode_timestamps(moments: pa.Array) -> Column:
    since_1970 = moments.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    micros, codes = np.unique(since_1970, return_inverse=True)
    stamps = [
        Timestamp(seconds=microseconds // MICROSECONDS, nanos=microseconds % MICROSECONDS * 1000)
        for microseconds in micros.tolist()
    ]
    return _build_column([stamp.SerializeToString() for stamp in stamps], codes)


def _encode_values(values: pa.Array) -> Column:
    if pa.types.is_float64(values.type):
        return _encode_doubles(values)
    if pa.types.is_int32(values.type):
        return _encode_integers(values)
    raise ChurnError(
        f"A feature is of type {values.type}, which the online store is not given",
        where="gold.customer_features",
        hint="declare it as int or double in models/gold/customer_features.yml",
    )


def _encode_integers(values: pa.Array) -> Column:
    """Encode integers, which usually have few distinct values.

    Null, which Feast writes as nothing, is one more distinct value.
    """
    there = values.is_valid().to_numpy(zero_copy_only=False)
    numbers = pc.fill_null(values, 0).to_numpy().astype(np.int64)
    least = int(numbers.min(initial=0))
    codes = numbers - least
    distinct: Sequence[int] = range(least, int(numbers.max(initial=0)) + 1)
    if len(distinct) > NEAR_RANGE:
        some, codes = np.unique(numbers, return_inverse=True)
        distinct = some.tolist()
    serialised = [_encode_integer(value) for value in distinct]
    return _build_column([*serialised, b""], np.where(there, codes, len(serialised)))


@lru_cache(NEAR_RANGE)
def _encode_integer(number: int) -> bytes:
    return bytes(Value(int32_val=number).SerializeToString())


def _encode_doubles(values: pa.Array) -> Column:
    """Encode doubles, which all have the same length: the message's tag and eight bytes."""
    tag = Value(double_val=1.0).SerializeToString()[:-8]
    numbers = pc.fill_null(values, 0.0).to_numpy().astype("<f8")
    table = np.zeros((len(numbers) + 1, len(tag) + 8), np.uint8)
    table[:, : len(tag)] = np.frombuffer(tag, np.uint8)
    table[:-1, len(tag) :] = numbers.view(np.uint8).reshape(-1, 8)
    lengths = np.full(len(numbers) + 1, table.shape[1])
    lengths[-1] = 0
    there = values.is_valid().to_numpy(zero_copy_only=False)
    codes = np.where(there, np.arange(len(numbers)), len(numbers))
    return Column(table, codes, lengths)


def _build_column(distinct: Sequence[bytes], codes: NDArray[np.int64] | None = None) -> Column:
    lengths = np.array([len(value) for value in distinct], np.int64)
    width = int(lengths.max(initial=1)) or 1
    padded = np.array(distinct, f"S{width}")
    table = np.frombuffer(padded.tobytes(), np.uint8).reshape(len(distinct), width)
    return Column(table, np.arange(len(distinct)) if codes is None else codes, lengths)


def _encode_array_header(count: int) -> bytes:
    return b"*%d\r\n" % count


def _is_stamp_until(text: bytes, as_of: datetime) -> bool:
    stamp = text.partition(b"\r\n")[2].removesuffix(b"\r\n")
    return _encode_string(stamp) == text and decode_timestamp(stamp) <= as_of


def _encode_string(text: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text)


def _encode_blocks(pieces: Sequence[bytes | Column], rows: int) -> Iterator[tuple[int, bytes]]:
    columns = [piece for piece in pieces if isinstance(piece, Column)]
    for chosen in _select_columns(columns, rows):
        yield len(chosen), _build_matrix(pieces, chosen)


def _select_columns(columns: Sequence[Column], rows: int) -> Iterator[NDArray[np.int64]]:
    """Yield the rows in blocks; within a block, a column's values all have the same length."""
    shape = np.zeros(rows, np.int64)
    for column in columns:
        if column.lengths.min(initial=0) != column.lengths.max(initial=0):
            lengths = column.lengths[column.codes]
            pairs = shape * (lengths.max(initial=0) + 1) + lengths
            _, shape = np.unique(pairs, return_inverse=True)
    order = np.argsort(shape, kind="stable")
    for same_shape in np.split(order, np.flatnonzero(np.diff(shape[order])) + 1):
        for start in range(0, len(same_shape), BLOCK_ROWS):
            yield same_shape[start : start + BLOCK_ROWS]


def _build_matrix(pieces: Sequence[bytes | Column], chosen: NDArray[np.int64]) -> bytes:
    """Return the bytes of the chosen rows, one row after another."""
    template = b""
    places: list[tuple[int, int, Column]] = []
    for piece in pieces:
        if isinstance(piece, Column):
            length = int(piece.lengths[piece.codes[chosen[0]]])
            template += b"$%d\r\n" % length
            places.append((len(template), length, piece))
            template += bytes(length) + b"\r\n"
        else:
            template += piece
    matrix = np.empty((len(chosen), len(template)), np.uint8)
    matrix[:] = np.frombuffer(template, np.uint8)
    rows = matrix.view(_row_type(places, len(template)))[:, 0]
    for start, length, column in places:
        if length:
            values = column.table[:, :length]
            whole = np.ascontiguousarray(values).view(f"V{length}")[:, 0]
            rows[str(start)] = whole[column.codes[chosen]]
    return matrix.tobytes()


def _row_type(places: Sequence[tuple[int, int, Column]], width: int) -> np.dtype[np.void]:
    """Return a row type with a field for each value; numpy copies a field of all rows at once."""
    filled = [(start, length) for start, length, _ in places if length]
    return np.dtype(
        {
            "names": [str(start) for start, _ in filled],
            "formats": [f"V{length}" for _, length in filled],
            "offsets": [start for start, _ in filled],
            "itemsize": width,
        }
    )
