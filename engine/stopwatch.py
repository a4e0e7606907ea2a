"""How long the parts of a call took, for who asks; next to free where nobody does.

Knows nothing of what is timed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_laps: ContextVar[dict[str, float] | None] = ContextVar("laps", default=None)


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Collect the seconds of every `lap` inside, by name, also of those in threads that copy the context."""
    laps: dict[str, float] = {}
    token = _laps.set(laps)
    try:
        yield laps
    finally:
        _laps.reset(token)


@contextmanager
def lap(name: str) -> Iterator[None]:
    """One part; its time adds to that of earlier parts of this name."""
    laps = _laps.get()
    if laps is None:
        yield
        return
    started = time.perf_counter()
    try:
        yield
    finally:
        laps[name] = laps.get(name, 0.0) + time.perf_counter() - started
