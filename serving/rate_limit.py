"""How much each key may ask for: a bucket of tokens, a token a customer.

By hand, since it is twenty lines: the libraries for it count in a store of their own, want a
decorator on each endpoint, and know no price by the size of a batch.
"""

import math
import time
from collections.abc import Callable


class Limits:
    """Buckets of tokens by name; each fills with `rate` tokens a second.

    `burst` is how many a full one holds: at least a whole batch.
    """

    def __init__(self, rate: int, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = float(max(rate, burst))
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, name: str, tokens: int = 1) -> int:
        """Take tokens: 0, or how many whole seconds to wait until there are as many."""
        now = self._clock()
        left, since = self._buckets.get(name, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._rate)
        enough = tokens <= left
        self._buckets[name] = (left - tokens if enough else left, now)
        return 0 if enough else max(1, math.ceil((tokens - left) / self._rate))
