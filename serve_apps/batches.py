"""Hands on in batches what comes one by one: what is done in one go finds its code and data in the caches.

Knows nothing of what is handed on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Batches(Generic[T]):
    """In the event loop's next turn when ``most`` wait, at the latest ``pause_s`` seconds after the first."""

    def __init__(self, hand_on: Callable[[list[T]], None], most: int, pause_s: float) -> None:
        self._hand_on, self._most, self._pause_s = hand_on, most, pause_s
        self._waiting = list[T]()

    def add(self, one: T) -> None:
        self._waiting.append(one)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_later(self._pause_s, self.flush)
        elif len(self._waiting) == self._most:
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Hand on what waits."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._hand_on(waiting)
