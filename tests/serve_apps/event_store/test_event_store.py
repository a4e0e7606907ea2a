"""What every event store promises, checked on SQLite and on a real Redis."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from serve_apps.event_store import Entry, StoreError, open_store
from serve_apps.event_store.interface import digest

PROJECT = Path(__file__).parents[3]


def entries(user_id: str, *event_ids: str) -> list[Entry]:
    return [Entry(user_id, e, {"item_id": f"item {e}", "value": 4.5}) for e in event_ids]


def test_what_is_appended_is_read_next_in_order_of_arrival(run, user) -> None:
    async def use(store) -> None:
        assert await store.history(user) == []
        assert await store.append(entries(user, "b", "a")) == [True, True]
        assert await store.history(user) == entries(user, "b", "a")
        await store.append(entries(user, "0"))
        assert await store.history(user) == entries(user, "b", "a", "0")

    run(use)


def test_odd_ids_and_bodies_come_back_as_they_were(run) -> None:
    odd = [
        Entry(user_id, event_id, {"item_id": "é\u0000'\"", "tags": [1, None, "x" * 5000]})
        for user_id in ("}{", "a:b", "Ω", "'; DROP TABLE events")
        for event_id in ("1", "}", "ß")
    ]

    async def use(store) -> None:
        assert await store.append(odd) == [True] * len(odd)
        for user_id in {entry.user_id for entry in odd}:
            assert await store.history(user_id) == [entry for entry in odd if entry.user_id == user_id]

    run(use)


def test_a_repeated_event_changes_nothing(run, user) -> None:
    async def use(store) -> None:
        await store.append(entries(user, "a", "b"))
        again = [Entry(user, "a", {"item_id": "another"}), *entries(user, "c", "c")]
        assert await store.append(again) == [False, True, False]
        assert await store.history(user) == entries(user, "a", "b", "c")

    run(use)


def test_the_same_event_id_of_two_people_is_two_events(run) -> None:
    async def use(store) -> None:
        assert await store.append([*entries("one", "a"), *entries("two", "a")]) == [True, True]
        assert await store.history("two") == entries("two", "a")

    run(use)


def test_the_newest_are_kept_and_the_ids_of_the_others_remembered(run, user) -> None:
    names = [f"e{n}" for n in range(20)]

    async def use(store) -> None:
        await store.append(entries(user, *names))
        assert await store.history(user) == entries(user, *names[-3:])
        assert await store.append(entries(user, *names)) == [False] * 20
        assert await store.history(user) == entries(user, *names[-3:])

    run(use, history=3)


def test_memory_of_ids_is_bounded(run, user) -> None:
    async def use(store) -> None:
        await store.append(entries(user, *(f"e{n}" for n in range(21))))
        assert await store.append(entries(user, "e0")) == [True], "20 ids are remembered, e1 to e20"
        assert await store.append(entries(user, "e2")) == [False]

    run(use, history=2)


def test_deletion_leaves_a_stranger_and_a_record(run, user) -> None:
    async def use(store) -> None:
        await store.append([*entries(user, "a", "b"), *entries("other", "a")])
        deletion = await store.delete(user, by="the shop")
        assert (deletion.events, deletion.by, deletion.subject) == (2, "the shop", digest(user))
        assert await store.history(user) == []
        assert await store.history("other") == entries("other", "a")
        assert (await store.deletions(5))[0] == deletion
        assert await store.append(entries(user, "a")) == [True], "nothing is remembered of a stranger"

    run(use)


def test_deletions_are_listed_newest_first(run) -> None:
    async def use(store) -> None:
        for name in ("a", "b", "c"):
            await store.delete(name, by="x")
        assert [d.subject for d in await store.deletions(2)] == [digest("c"), digest("b")]
        assert [d.events for d in await store.deletions(2)] == [0, 0]

    run(use)


def test_writers_at_the_same_time_lose_nothing(address, user) -> None:
    """Two open stores, as two replicas have them."""

    async def body() -> None:
        stores = [open_store(address, 100), open_store(address, 100)]
        names = [f"e{n}" for n in range(40)]
        flags = await asyncio.gather(
            *(store.append(entries(user, name)) for name in names for store in stores)
        )
        assert sum(flag for (flag,) in flags) == 40
        for store in stores:
            assert {entry.event_id for entry in await store.history(user)} == set(names)
            await store.close()

    asyncio.run(body())


_WRITE_AND_DIE = """
import asyncio, os, signal, sys
from serve_apps.event_store import Entry, open_store

async def main():
    store = open_store(sys.argv[1])
    await store.append([Entry(sys.argv[2], "last", {"item_id": "1"})])
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_a_crash_right_after_an_acknowledged_event_keeps_it(address, run, user) -> None:
    command = [sys.executable, "-c", _WRITE_AND_DIE, address, user]
    ended = subprocess.run(command, cwd=PROJECT, env=os.environ, check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL

    async def use(store) -> None:
        assert await store.history(user) == [Entry(user, "last", {"item_id": "1"})]

    run(use)


def test_a_killed_redis_is_waited_for_and_has_every_event(redis_server, user) -> None:
    async def body() -> None:
        store = open_store(redis_server.address)
        await store.append(entries(user, "before"))
        redis_server.kill()
        meanwhile = asyncio.gather(store.append(entries(user, "during")), store.history("other"))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(redis_server.start)
        assert await meanwhile == [[True], []]
        assert await store.history(user) == entries(user, "before", "during")
        await store.close()

    asyncio.run(body())


def test_a_redis_that_stays_away_is_said_to_be() -> None:
    async def body() -> None:
        store = open_store("redis://:secret@127.0.0.1:1/0")
        with pytest.raises(StoreError, match="the event store failed") as caught:
            await store.history("u")
        assert "secret" not in str(caught.value)
        await store.close()

    asyncio.run(body())


def test_deleted_text_is_in_none_of_the_files(tmp_path: Path) -> None:
    """Not in free pages and not in the write-ahead log either."""

    async def body() -> None:
        store = open_store(str(tmp_path / "events.sqlite"))
        await store.append(entries("somebody@example.org", "a", "b"))
        assert _found(tmp_path, b"somebody@example.org")
        await store.delete("somebody@example.org", by="x")
        assert not _found(tmp_path, b"somebody@example.org")
        assert not _found(tmp_path, b"item a")
        await store.close()

    asyncio.run(body())


def _found(folder: Path, text: bytes) -> bool:
    return any(text in file.read_bytes() for file in folder.iterdir())


@pytest.mark.parametrize("content", [b"not a database" * 100, None], ids=["text", "folder"])
def test_what_is_no_store_is_refused_with_its_place(tmp_path: Path, content: bytes | None) -> None:
    place = tmp_path / "events.sqlite"
    if content is None:
        place.mkdir()
    else:
        place.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        open_store(str(place))
    assert str(place) in str(caught.value)
