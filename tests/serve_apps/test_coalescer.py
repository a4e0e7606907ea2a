"""Who comes while others are answered is answered with the next; nobody's fault or leaving is another's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from serve_apps.coalescer import MOST, Coalescer


class Doubling:
    """Answers when it is let; zero is a fault."""

    def __init__(self, open_at_once: bool = True) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.let = threading.Event(), threading.Event()
        if open_at_once:
            self.let.set()

    def __call__(self, asked: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(asked))
        self.begun.set()
        assert self.let.wait(10)
        return [ValueError("zero") if one == 0 else 2 * one for one in asked]


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 10)


def test_who_comes_alone_is_answered_alone() -> None:
    async def scenario() -> list[int]:
        return [await coalescer(one) for one in (1, 2, 3)]

    together = Doubling()
    coalescer = Coalescer(together)
    assert asyncio.run(scenario()) == [2, 4, 6]
    assert together.batches == [[1], [2], [3]]


def test_who_comes_meanwhile_is_answered_together_next() -> None:
    async def scenario() -> list[int]:
        first = asyncio.create_task(coalescer(1))
        await until(together.begun)
        later = [asyncio.create_task(coalescer(one)) for one in range(2, 2 + MOST + 3)]
        await asyncio.sleep(0)
        together.let.set()
        return [await task for task in (first, *later)]

    together = Doubling(open_at_once=False)
    coalescer = Coalescer(together)
    assert asyncio.run(scenario()) == [2 * one for one in range(1, 2 + MOST + 3)]
    assert [len(batch) for batch in together.batches] == [1, MOST, 3]


def test_a_fault_is_its_own() -> None:
    async def scenario() -> list[int | BaseException]:
        return await asyncio.gather(coalescer(1), coalescer(0), coalescer(3), return_exceptions=True)

    coalescer = Coalescer(Doubling())
    one, zero, three = asyncio.run(scenario())
    assert (one, three) == (2, 6)
    assert isinstance(zero, ValueError)


def test_what_fails_as_a_whole_fails_for_all_and_the_next_are_answered() -> None:
    def failing_once(asked: Sequence[int]) -> list[int | Exception]:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("broken")
        return list(asked)

    async def scenario() -> int:
        with pytest.raises(RuntimeError, match="broken"):
            await coalescer(1)
        return await coalescer(2)

    calls: list[int] = []
    coalescer = Coalescer(failing_once)
    assert asyncio.run(scenario()) == 2


def test_who_has_gone_is_not_answered() -> None:
    async def scenario() -> int:
        first = asyncio.create_task(coalescer(1))
        await until(together.begun)
        gone, stays = asyncio.create_task(coalescer(2)), asyncio.create_task(coalescer(3))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        together.let.set()
        await first
        return await stays

    together = Doubling(open_at_once=False)
    coalescer = Coalescer(together)
    assert asyncio.run(scenario()) == 6
    assert together.batches == [[1], [3]]
