"""Answers calls one by one when they come alone, and in batches what arrives while a batch is at work.

No timer: nobody waits for company. Knows nothing of models or HTTP.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

Ask = TypeVar("Ask")
Reply = TypeVar("Reply")


class Coalescer(Generic[Ask, Reply]):
    """Batches what waits while busy.

    Calls that arrive in one turn of the event loop, or while a batch is at work, are the next batch, the
    longest waiting first. A batch runs in a thread, so that others can arrive; a call alone runs on the event
    loop, which saves the hop and suits work of about a millisecond. For one event loop.
    """

    def __init__(
        self, work: Callable[[Sequence[Ask]], Sequence[Reply | Exception]], batch_max: int = 32
    ) -> None:
        """
        Args:
            work: answers several calls, in their order. An exception in place of an answer is raised to
                its caller alone; one that ``work`` raises, to all of the batch.
            batch_max: at most this many calls in a batch.
        """
        self._work, self._batch_max = work, batch_max
        self._waiting: deque[tuple[Ask, asyncio.Future[Reply]]] = deque()
        self._drain: asyncio.Task[None] | None = None

    async def __call__(self, ask: Ask) -> Reply:
        """The answer to one call. Who gives up (is cancelled) before the work begins costs no work.

        Raises:
            Exception: what ``work`` gave or raised for it.
        """
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((ask, answer))
        if self._drain is None:
            self._drain = asyncio.create_task(self._work_off())
        return await answer

    async def _work_off(self) -> None:
        try:
            while batch := self._next():
                replies = await self._replies([ask for ask, _ in batch])
                for (_, answer), reply in zip(batch, replies, strict=True):
                    _settle(answer, reply)
        finally:
            self._drain = None

    def _next(self) -> list[tuple[Ask, asyncio.Future[Reply]]]:
        batch: list[tuple[Ask, asyncio.Future[Reply]]] = []
        while self._waiting and len(batch) < self._batch_max:
            ask, answer = self._waiting.popleft()
            if not answer.done():
                batch.append((ask, answer))
        return batch

    async def _replies(self, asks: list[Ask]) -> Sequence[Reply | Exception]:
        try:
            replies = self._work(asks) if len(asks) == 1 else await run_in_threadpool(self._work, asks)
        except Exception as error:
            return [error] * len(asks)
        if len(replies) != len(asks):
            return [RuntimeError(f"{len(asks)} calls but {len(replies)} answers")] * len(asks)
        return replies


def _settle(answer: asyncio.Future[Reply], reply: Reply | Exception) -> None:
    if answer.done():  # its caller gave up
        return
    if isinstance(reply, Exception):
        answer.set_exception(reply)
    else:
        answer.set_result(reply)
