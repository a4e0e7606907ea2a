"""Laps: added up by name, kept apart by call, seen across threads that copy the context."""

from __future__ import annotations

import contextvars
import threading
import time
from contextlib import suppress

import pytest

from engine import stopwatch
from engine.stopwatch import lap, timed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_laps_of_a_name_add_up(clock) -> None:
    with timed() as laps:
        for seconds in (1, 2):
            with lap("a"):
                clock[0] += seconds
        with suppress(ValueError), lap("b"):
            clock[0] += 4
            raise ValueError
    assert laps == {"a": 3, "b": 4}


def test_without_a_watch_nothing_is_kept() -> None:
    with lap("a"):
        assert stopwatch._laps.get() is None


def test_a_thread_with_this_context_is_seen(clock) -> None:
    def work() -> None:
        with lap("a"):
            clock[0] += 1

    with timed() as laps:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
        thread.start()
        thread.join()
    assert laps == {"a": 1}
