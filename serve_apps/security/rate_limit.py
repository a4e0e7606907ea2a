"""How often each key may call: a token bucket a key, in this replica.

A bucket holds ``burst`` calls and fills at ``per_second``. Replicas do not talk to each other: with n
replicas a key may call up to n times as often.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class RateLimit:
    """Buckets by key; as many as there are keys."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        self._buckets: dict[str, tuple[float, float]] = {}  # calls left, as of when

    def wait_s(self, key_id: str) -> float:
        """0 where the call may go on, and is counted; else the seconds until the next one may."""
        now = self._clock()
        left, since = self._buckets.get(key_id, (float(self._burst), now))
        left = min(self._burst, left + (now - since) * self._per_second)
        allowed = left >= 1
        self._buckets[key_id] = (left - 1 if allowed else left, now)
        return 0.0 if allowed else (1 - left) / self._per_second
