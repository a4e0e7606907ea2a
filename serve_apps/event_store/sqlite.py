"""Events in one SQLite file: the embedded default, shared by the replicas of a node.

Write-ahead logging, so that reading never waits for a writer: histories are read on the caller's thread in
some tens of microseconds. Writes, each a transaction that is on disk when it ends, run in one thread.

A file system shared between machines is no place for the file: use Redis there.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from serve_apps.event_store.interface import HISTORY, IDS_REMEMBERED, Deletion, Entry, StoreError

BUSY_TIMEOUT_S = 5.0
TRUNCATIONS, PAUSE_S = 100, 0.05  # how often the log is to be emptied while somebody reads

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    user_id TEXT NOT NULL,
    seq INTEGER NOT NULL,       -- 1, 2, 3 ... for each person
    event_id TEXT NOT NULL,
    entry TEXT,                 -- NULL once the event has left the history: its id alone is remembered
    PRIMARY KEY (user_id, seq),
    UNIQUE (user_id, event_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deletions (at TEXT, subject TEXT, events INTEGER, by TEXT);
"""
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON")

T = TypeVar("T")

_log = logging.getLogger(__name__)


class SqliteStore:
    """See ``interface.EventStore``."""

    def __init__(self, file: Path, history: int = HISTORY) -> None:
        self._file, self._history = file, history
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="events")
        with self._reported():
            file.parent.mkdir(parents=True, exist_ok=True)
            self._writer, self._reader = self._connect(), self._connect()
            self._writer.executescript(_SCHEMA)

    async def append(self, entries: Sequence[Entry]) -> list[bool]:
        return await self._write(lambda: self._append(entries))

    async def history(self, user_id: str) -> list[Entry]:
        newest = "SELECT entry FROM events WHERE user_id = ? ORDER BY seq DESC LIMIT ?"
        with self._reported():
            rows = self._reader.execute(newest, (user_id, self._history)).fetchall()
        return [Entry.from_json(user_id, text) for (text,) in reversed(rows)]

    async def delete(self, user_id: str, by: str) -> Deletion:
        deletion = await self._write(lambda: self._delete(user_id, by))
        for _ in range(TRUNCATIONS):
            if await self._in_thread(self._truncate_log):
                return deletion
            await asyncio.sleep(PAUSE_S)
        _log.warning("%s is being read: its log still holds what was deleted", self._file)
        return deletion

    async def deletions(self, limit: int) -> list[Deletion]:
        newest = "SELECT at, subject, events, by FROM deletions ORDER BY rowid DESC LIMIT ?"
        with self._reported():
            return [Deletion(*row) for row in self._reader.execute(newest, (limit,))]

    async def close(self) -> None:
        await self._in_thread(self._writer.close)
        self._thread.shutdown()
        self._reader.close()

    def _append(self, entries: Sequence[Entry]) -> list[bool]:
        new = [self._insert(entry) for entry in entries]
        for user_id in {entry.user_id for entry in entries}:
            self._trim(user_id)
        return new

    def _insert(self, entry: Entry) -> bool:
        insert = """INSERT INTO events SELECT ?, 1 + COALESCE(MAX(seq), 0), ?, ? FROM events WHERE user_id = ?
                    ON CONFLICT (user_id, event_id) DO NOTHING"""
        values = (entry.user_id, entry.event_id, entry.to_json(), entry.user_id)
        return self._writer.execute(insert, values).rowcount == 1

    def _trim(self, user_id: str) -> None:
        last = self._last(user_id)
        self._writer.execute(
            "UPDATE events SET entry = NULL WHERE user_id = ? AND seq <= ? AND entry IS NOT NULL",
            (user_id, last - self._history),
        )
        self._writer.execute(
            "DELETE FROM events WHERE user_id = ? AND seq <= ?",
            (user_id, last - IDS_REMEMBERED * self._history),
        )

    def _last(self, user_id: str) -> int:
        (last,) = self._writer.execute("SELECT MAX(seq) FROM events WHERE user_id = ?", (user_id,)).fetchone()
        return last or 0

    def _delete(self, user_id: str, by: str) -> Deletion:
        count = "SELECT COUNT(*) FROM events WHERE user_id = ? AND entry IS NOT NULL"
        (events,) = self._writer.execute(count, (user_id,)).fetchone()
        self._writer.execute("DELETE FROM events WHERE user_id = ?", (user_id,))
        deletion = Deletion.now(user_id, events, by)
        values = (deletion.at, deletion.subject, deletion.events, deletion.by)
        self._writer.execute("INSERT INTO deletions VALUES (?, ?, ?, ?)", values)
        return deletion

    def _truncate_log(self) -> bool:
        """Move the write-ahead log into the file and empty it: what was deleted may still stand in it.

        False where somebody reads or writes just now: to wait here would keep everybody from writing.
        """
        with self._reported():
            self._set_timeout(0)
            try:
                ((busy, _, _),) = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                self._set_timeout(BUSY_TIMEOUT_S)
        return not busy

    def _set_timeout(self, seconds: float) -> None:
        self._writer.execute(f"PRAGMA busy_timeout={seconds * 1000:.0f}").fetchall()

    async def _write(self, work: Callable[[], T]) -> T:
        def transaction() -> T:
            with self._reported():
                self._writer.execute("BEGIN IMMEDIATE")
                with self._writer:  # commits, or rolls back what failed
                    return work()

        return await self._in_thread(transaction)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._file, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").fetchall()
        return connection

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"the event store failed: {error}", where=str(self._file)) from error
