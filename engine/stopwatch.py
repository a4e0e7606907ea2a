"""How long the parts of a call took, for who asks; next to free where nobody does.

Knows nothing of what is timed.
"""

from __future__ import annotations

import time
from contextvars import ContextVar

_laps: ContextVar[dict[str, float] | None] = ContextVar("laps", default=None)


class timed:  # noqa: N801 - reads as the function it stands for, which would cost three times as much
    """Collect the seconds of every `lap` inside, by name, also of those in threads that copy the context."""

    __slots__ = ("_token",)

    def __enter__(self) -> dict[str, float]:
        laps: dict[str, float] = {}
        self._token = _laps.set(laps)
        return laps

    def __exit__(self, *_: object) -> None:
        _laps.reset(self._token)


class lap:  # noqa: N801 - as above
    """``with lap("score"): ...``: one part; its time adds to that of earlier parts of this name."""

    __slots__ = ("_laps", "_name", "_started")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._laps = _laps.get()
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        if self._laps is not None:
            taken = time.perf_counter() - self._started
            self._laps[self._name] = self._laps.get(self._name, 0.0) + taken
