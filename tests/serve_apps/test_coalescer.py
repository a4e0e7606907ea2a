"""Who comes while others are answered is answered with the next; nobody's fault or leaving is another's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

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


def test_what_fails_as_a_whole_is_tried_one_by_one() -> None:
    """Where one is the fault of it, nobody else is."""

    def together(asked: Sequence[int]) -> list[int | Exception]:
        if 13 in asked:
            raise RuntimeError("broken")
        return [2 * one for one in asked]

    async def scenario() -> list[int | BaseException]:
        found = await asyncio.gather(*map(coalescer, (1, 13, 3)), return_exceptions=True)
        return [*found, await coalescer(4)]

    coalescer = Coalescer(together)
    one, broken, three, later = asyncio.run(scenario())
    assert (one, three, later) == (2, 6, 8)
    assert isinstance(broken, RuntimeError)


def test_too_few_answers_are_an_error_and_nobody_waits_for_ever() -> None:
    async def scenario() -> list[int | BaseException]:
        return await asyncio.wait_for(asyncio.gather(*map(coalescer, (1, 2)), return_exceptions=True), 10)

    coalescer: Coalescer[int, int] = Coalescer(lambda asked: [1])
    found = asyncio.run(scenario())
    assert all(isinstance(error, RuntimeError) for error in found)


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
