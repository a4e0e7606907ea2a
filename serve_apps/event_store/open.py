"""Which store an address means."""

from __future__ import annotations

from pathlib import Path

from serve_apps.event_store.interface import HISTORY, EventStore


def is_redis(address: str) -> bool:
    return address.startswith(("redis://", "rediss://", "unix://"))


def open_store(address: str, history: int = HISTORY) -> EventStore:
    """The store at ``address``: a Redis address (``redis://host:6379/0``), else a file for SQLite.

    Args:
        address: where the events are kept. A file is made where there is none; a Redis is not called yet.
        history: events kept of a person, the newest.

    Raises:
        StoreError: the file cannot be opened or is not a store.
    """
    if is_redis(address):
        from serve_apps.event_store.redis import RedisStore  # only who uses Redis loads its client

        return RedisStore(address, history)
    from serve_apps.event_store.sqlite import SqliteStore

    return SqliteStore(Path(address), history)
