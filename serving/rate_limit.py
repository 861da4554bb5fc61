"""Limit the rate of each key: a bucket of tokens, one token per customer.

It is written by hand, since it is twenty lines: the libraries for it count in a store of their own,
require a decorator on each endpoint, and do not support a cost that depends on the size of a batch.
"""

import math
import time
from collections.abc import Callable


class Limits:
    """Buckets of tokens by name; each is refilled with `rate` tokens a second.

    `burst` is the capacity of a bucket, which is never below `rate`; it has to fit a whole batch.
    """

    def __init__(self, rate: int, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Create the limits; each bucket starts full. `clock` returns seconds."""
        self._rate = rate
        self._burst = float(max(rate, burst))
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, name: str, tokens: int = 1) -> int:
        """Remove tokens from a bucket.

        Returns:
            0, or the whole seconds to wait until the bucket has enough tokens; then none is
            removed.
        """
        now = self._clock()
        left, since = self._buckets.get(name, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._rate)
        enough = tokens <= left
        self._buckets[name] = (left - tokens if enough else left, now)
        return 0 if enough else max(1, math.ceil((tokens - left) / self._rate))
