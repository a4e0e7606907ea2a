"""What arrives while something else is being worked on is worked on together, next.

Who comes alone is not kept waiting. Knows nothing of what is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

MOST = 16
"""So many at once: more would keep the first of them waiting and save little."""

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Coalescer(Generic[Asked, Answer]):
    """Used in an event loop; ``together`` runs in a thread, once at a time.

    Args:
        together: answers all it is given, in order; an error is the answer of who caused it.
    """

    def __init__(self, together: Callable[[Sequence[Asked]], Sequence[Answer | Exception]]) -> None:
        self._together = together
        self._waiting: list[tuple[Asked, asyncio.Future[Answer]]] = []
        self._drain: asyncio.Task[None] | None = None

    async def __call__(self, asked: Asked) -> Answer:
        """The answer to one.

        Raises:
            What ``together`` gives as its answer, or raises.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((asked, answer))
        if self._drain is None:
            self._drain = loop.create_task(self._answer_all(), context=Context())  # nobody's stopwatch
        return await answer

    async def _answer_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._answer([(asked, answer) for asked, answer in batch if not answer.done()])
        finally:
            self._drain = None

    async def _answer(self, batch: list[tuple[Asked, asyncio.Future[Answer]]]) -> None:
        try:
            found = await run_in_threadpool(self._together, [asked for asked, _ in batch])
        except Exception as error:
            found = [error] * len(batch)
        for (_, answer), told in zip(batch, found, strict=True):
            if answer.done():  # who asked has gone
                continue
            if isinstance(told, Exception):
                answer.set_exception(told)
            else:
                answer.set_result(told)
