"""Translate errors of services and of the operating system into errors with a hint."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from lakehouse import online_store
from lakehouse.errors import ChurnError, classify_error, disk_full_error
from lakehouse.local_folders import folder_refused_error
from lakehouse.settings import Settings

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def translate_errors(settings: Settings) -> Iterator[None]:
    """Re-raise known errors as ChurnError; other errors propagate unchanged."""
    try:
        yield
    except Exception as error:
        translated = translate(settings, error)
        if translated is None or translated is error:
            raise
        raise translated from error


def translate(settings: Settings, error: Exception) -> ChurnError | None:
    """Return the ChurnError for a known error, or None if the error is unknown."""
    if isinstance(error, ChurnError):
        return error
    if isinstance(error, redis.RedisError):
        return online_store.translate_redis_error(error, online_store.describe_location(settings))
    if isinstance(error, OSError) and error.errno in FULL:
        return disk_full_error(str(error.filename or settings.home))
    if isinstance(error, OSError) and (refusal := folder_refused_error(settings, error)):
        return refusal
    # Spark passes on Java's error message.
    return classify_error(str(error), f"the lake, {settings.lake.address}")
