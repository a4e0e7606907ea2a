"""What every event store promises, checked on SQLite and on a real Redis."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from serve_apps.event_store import Entry, StoreError, open_store, sqlite
from serve_apps.event_store.interface import digest
from tests.redis_server import RedisServer

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


def test_deleted_text_is_in_none_of_the_files_though_somebody_reads_for_a_while(tmp_path: Path) -> None:
    async def body() -> None:
        store = open_store(str(tmp_path / "events.sqlite"))
        await store.append(entries("somebody@example.org", "a"))
        reader = _reading(tmp_path / "events.sqlite")
        deleting = asyncio.create_task(store.delete("somebody@example.org", by="x"))
        await asyncio.sleep(0.3)
        assert not deleting.done()
        assert await store.append(entries("other", "b")) == [True], "nobody is kept from writing"
        reader.close()
        assert (await deleting).events == 1
        assert not _found(tmp_path, b"somebody@example.org")
        await store.close()

    asyncio.run(body())


def test_a_reader_that_stays_is_waited_for_only_so_long(tmp_path: Path, monkeypatch, caplog) -> None:
    async def body() -> None:
        store = open_store(str(tmp_path / "events.sqlite"))
        await store.append(entries("somebody@example.org", "a"))
        reader = _reading(tmp_path / "events.sqlite")
        assert (await store.delete("somebody@example.org", by="x")).events == 1
        assert "its log still holds what was deleted" in caplog.text
        reader.close()
        await store.close()

    monkeypatch.setattr(sqlite, "TRUNCATIONS", 3)
    asyncio.run(body())


def _reading(file: Path) -> sqlite3.Connection:
    """A transaction that reads, until it is closed."""
    reader = sqlite3.connect(file, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM events").fetchall()
    return reader


def test_deleted_text_is_soon_in_no_file_of_redis(redis_server, user) -> None:
    async def body() -> None:
        store = open_store(redis_server.address)
        await store.append(entries(user, user))
        await _until(True, redis_server.folder, user.encode())
        await store.delete(user, by="x")
        await _until(False, redis_server.folder, user.encode())
        await store.close()

    asyncio.run(body())


def test_a_rewrite_that_began_before_the_deletion_is_followed_by_another(redis_server, user) -> None:
    async def body() -> None:
        store = open_store(redis_server.address)
        redis_server.flush()
        await store.append([*entries(user, user), *entries("other", "a")])
        redis_server.say("CONFIG SET rdb-key-save-delay 100000")  # microseconds for each of four keys
        redis_server.say("BGREWRITEAOF")
        redis_server.say("CONFIG SET rdb-key-save-delay 0")
        await store.delete(user, by="x")
        await _until(False, redis_server.folder, user.encode())
        await store.close()

    asyncio.run(body())


def test_where_redis_may_not_be_asked_to_rewrite_it_is_said(redis_server, user, caplog) -> None:
    async def body() -> None:
        store = open_store(redis_server.address)
        await store.append(entries(user, "a"))
        assert (await store.delete(user, by="x")).events == 1
        assert await store.history(user) == []
        assert "still holds what was deleted: " in caplog.text
        await store.close()

    assert redis_server.say("ACL SETUSER default -bgrewriteaof") == "+OK"
    try:
        asyncio.run(body())
    finally:
        redis_server.say("ACL SETUSER default +bgrewriteaof")


def test_a_redis_that_keeps_no_file_is_not_made_to_by_a_deletion(tmp_path: Path, user) -> None:
    async def body() -> None:
        store = open_store(server.address)
        await store.append([*entries(user, "a"), *entries("other", "a")])
        assert (await store.delete(user, by="x")).events == 1
        await asyncio.sleep(0.3)
        await store.close()

    server = RedisServer(tmp_path, appendonly=False)
    try:
        asyncio.run(body())
        assert _files(tmp_path) == []
    finally:
        server.kill()


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _found(folder: Path, text: bytes) -> bool:
    return any(text in file.read_bytes() for file in _files(folder))


async def _until(found: bool, folder: Path, text: bytes) -> None:
    """Wait until ``text`` is found in the files, or is not; they come and go meanwhile."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(FileNotFoundError):
            if _found(folder, text) is found:
                return
        await asyncio.sleep(0.05)
    pytest.fail(f"{text!r} is {'not' if found else 'still'} there")


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
