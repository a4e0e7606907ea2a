"""Steady load from several callers, and an account of what became of it."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from serve_apps.client import AsyncClient

EVENTS_MAX = 100  # of a person; then the caller goes on as another one


@dataclass
class Account:
    """What callers saw. ``acknowledged``: ids of the events that the server said it kept, by person."""

    requests: int = 0
    lost: list[str] = field(default_factory=list)
    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    versions: set[str] = field(default_factory=set)


@contextmanager
def steady_load(
    url: str, key: str | None, name: str, callers: int = 4, attempts: int = 1, **asked: Any
) -> Iterator[Account]:
    """While the block runs, each caller adds an event and asks for a slate, over and over.

    Args:
        name: of the people, so that accounts of different tests do not mix.
        attempts: 1 for callers who do not try again: every failure counts as lost.
        asked: more fields of each request for a slate.
    """
    account, stop = Account(), threading.Event()

    async def caller(client: AsyncClient, name: str) -> None:
        for person in itertools.count():
            user_id = f"{name}.{person}"
            kept = account.acknowledged.setdefault(user_id, [])
            while len(kept) < EVENTS_MAX:
                if stop.is_set():
                    return
                await exchange(client, user_id, kept)
                await asyncio.sleep(0.01)

    async def exchange(client: AsyncClient, user_id: str, kept: list[str]) -> None:
        account.requests += 2
        began = time.monotonic()
        try:
            event = {"user_id": user_id, "item_id": "103", "value": 5, "event_id": f"e{len(kept)}"}
            await client.add_events([event])
            kept.append(event["event_id"])
            answer = await client.recommend(user_id=user_id, k=3, **asked)
            account.versions.add(answer.model_version)
            if answer.shots != len(kept):
                account.lost.append(f"{len(kept)} events were acknowledged, {answer.shots} counted")
        except Exception as error:
            account.lost.append(f"{type(error).__name__} after {time.monotonic() - began:.1f} s: {error}")

    async def everybody() -> None:
        async with AsyncClient(url, key, attempts=attempts) as client:
            await asyncio.gather(*(caller(client, f"{name}-{n}") for n in range(callers)))

    thread = threading.Thread(target=lambda: asyncio.run(everybody()))
    thread.start()
    try:
        yield account
    finally:
        stop.set()
        thread.join(60)


def assert_some_are_refused(url: str, key: str = "none", callers: int = 40) -> None:
    """Many callers at once ask for what takes long: some are answered, the others told to come back."""
    body = {"events": [{"item_id": str(100 + n % 40), "value": 5} for n in range(1000)], "explain": True}

    async def ask() -> list[httpx.Response]:
        headers = {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
            return await asyncio.gather(*(client.post("/v1/recommend", json=body) for _ in range(callers)))

    began = time.monotonic()
    answers = asyncio.run(ask())
    assert time.monotonic() - began < 10
    assert {answer.status_code for answer in answers} == {200, 503}
    assert {answer.headers.get("retry-after") for answer in answers if answer.status_code == 503} == {"1"}
