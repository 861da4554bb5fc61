"""Translate errors of services and of the operating system into errors with a remedy."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from lakehouse import online_store
from lakehouse.errors import ChurnError, disk_full, named_breakdown
from lakehouse.local_folders import refused_folder
from lakehouse.settings import Settings

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def translate_errors(settings: Settings) -> Iterator[None]:
    """Re-raise known errors as ChurnError; other errors propagate unchanged."""
    try:
        yield
    except Exception as fault:
        known = translate(settings, fault)
        if known is None or known is fault:
            raise
        raise known from fault


def translate(settings: Settings, fault: Exception) -> ChurnError | None:
    """Return the ChurnError for a known error, or None if the error is unknown."""
    if isinstance(fault, ChurnError):
        return fault
    if isinstance(fault, redis.RedisError):
        return online_store.explained(fault, online_store.place(settings))
    if isinstance(fault, OSError) and fault.errno in FULL:
        return disk_full(str(fault.filename or settings.home))
    if isinstance(fault, OSError) and (refused := refused_folder(settings, fault)):
        return refused
    # Spark passes on Java's error message.
    return named_breakdown(str(fault), f"the lake, {settings.lake.address}")
