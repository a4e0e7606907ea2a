"""Each kind of event store, empty, and a way to call it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from serve_apps.event_store import EventStore, open_store
from tests.redis_server import RedisServer

Use = Callable[[EventStore], Awaitable[None]]


@pytest.fixture(params=["sqlite", "redis"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where an empty store is."""
    if request.param == "sqlite":
        yield str(tmp_path / "events.sqlite")
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    server.flush()
    yield server.address


@pytest.fixture
def run(address: str) -> Callable[..., None]:
    """Runs an async function on an open store (``history`` events kept) and closes it."""

    def run(use: Use, history: int = 5) -> None:
        async def body() -> None:
            store = open_store(address, history)
            try:
                await use(store)
            finally:
                await store.close()

        asyncio.run(body())

    return run


@pytest.fixture
def user() -> str:
    return f"user {uuid.uuid4().hex}"
