"""Batches form from what waits while busy; every caller gets their own answer, in the order they came."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from serve_apps.coalescer import Coalescer


class Recorder:
    """Answers with ten times the number and remembers how; ``gate`` holds back batches of several."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: list[threading.Thread] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, asks: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(asks))
        self.threads.append(threading.current_thread())
        if len(asks) > 1:
            assert self.gate.wait(10)
        return [ValueError(f"{ask} is negative") if ask < 0 else 10 * ask for ask in asks]


async def started(work: Recorder, batches: int) -> None:
    """Wait until so many batches have begun."""
    async with asyncio.timeout(10):
        while len(work.batches) < batches:
            await asyncio.sleep(0.001)


def test_a_call_alone_is_answered_on_the_event_loop() -> None:
    async def run() -> list[int]:
        coalesced = Coalescer(work)
        return [await coalesced(n) for n in range(3)]

    work = Recorder()
    assert asyncio.run(run()) == [0, 10, 20]
    assert work.batches == [[0], [1], [2]]
    assert set(work.threads) == {threading.main_thread()}


def test_what_waits_while_busy_is_the_next_batch_the_longest_waiting_first() -> None:
    async def run() -> list[int]:
        coalesced, calls = Coalescer(work, batch_max=4), []
        work.gate.clear()
        calls += [asyncio.create_task(coalesced(n)) for n in (0, 1)]
        await started(work, 1)
        for n in range(2, 9):
            calls.append(asyncio.create_task(coalesced(n)))
            await asyncio.sleep(0)
        work.gate.set()
        return await asyncio.gather(*calls)

    work = Recorder()
    assert asyncio.run(run()) == [10 * n for n in range(9)]
    assert work.batches == [[0, 1], [2, 3, 4, 5], [6, 7, 8]]
    assert threading.main_thread() not in work.threads


def test_an_early_caller_is_not_kept_by_those_who_keep_coming() -> None:
    """The first answer is out while later calls still queue without end."""

    async def run() -> int:
        coalesced = Coalescer(work, batch_max=2)
        first = asyncio.create_task(coalesced(0))
        others = [asyncio.create_task(coalesced(n)) for n in range(1, 50)]
        async with asyncio.timeout(10):
            assert await first == 0
        begun = len(work.batches)
        await asyncio.gather(*others)
        return begun

    work = Recorder()
    assert asyncio.run(run()) <= 3
    assert len(work.batches) == 25


def test_an_error_reaches_its_caller_alone() -> None:
    async def run() -> list[int | BaseException]:
        coalesced = Coalescer(work)
        return await asyncio.gather(*(coalesced(n) for n in (1, -2, 3)), return_exceptions=True)

    work = Recorder()
    one, two, three = asyncio.run(run())
    assert (one, three) == (10, 30)
    assert isinstance(two, ValueError)
    assert str(two) == "-2 is negative"


@pytest.mark.parametrize(
    ("work", "message"),
    [(lambda asks: 1 / 0, "division by zero"), (lambda asks: [1], "2 calls but 1 answers")],
)
def test_work_that_fails_fails_all_of_its_batch_and_none_after_it(work, message: str) -> None:
    async def run() -> None:
        coalesced = Coalescer(lambda asks: work(asks) if len(asks) > 1 else [5])
        failed = await asyncio.gather(coalesced(1), coalesced(2), return_exceptions=True)
        assert [str(error) for error in failed] == [message] * 2
        assert await coalesced(3) == 5

    asyncio.run(run())


def test_who_gives_up_costs_no_work_and_harms_nobody() -> None:
    async def run() -> list[int]:
        coalesced = Coalescer(work)
        work.gate.clear()
        busy = [asyncio.create_task(coalesced(n)) for n in (0, 1)]
        await started(work, 1)
        leaving, staying = asyncio.create_task(coalesced(2)), asyncio.create_task(coalesced(3))
        await asyncio.sleep(0)
        leaving.cancel()
        busy[0].cancel()
        work.gate.set()
        return [await busy[1], await staying]

    work = Recorder()
    assert asyncio.run(run()) == [10, 30]
    assert work.batches == [[0, 1], [3]]
