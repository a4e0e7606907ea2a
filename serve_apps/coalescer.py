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
        together: answers all it is given, in order; an error is the answer of who caused it. Where it raises,
            each is answered alone.
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
            for (_, answer), told in zip(batch, await self._told([asked for asked, _ in batch]), strict=True):
                if answer.done():  # who asked has gone
                    continue
                if isinstance(told, Exception):
                    answer.set_exception(told)
                else:
                    answer.set_result(told)
        finally:
            for _, answer in batch:
                answer.cancel()  # nobody waits for ever, whatever happened

    async def _told(self, asked: list[Asked]) -> Sequence[Answer | Exception]:
        """Each one's answer; what fails as a whole is tried one by one, for one fault is not another's."""
        try:
            told = await run_in_threadpool(self._together, asked)
        except Exception as error:
            return [error] if len(asked) == 1 else [(await self._told([one]))[0] for one in asked]
        if len(told) != len(asked):
            return [RuntimeError(f"{len(told)} answers to {len(asked)}")] * len(asked)
        return told
