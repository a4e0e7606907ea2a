"""What every event store holds to, and the values it takes and gives.

A store knows nothing of what an event means: it keeps a JSON object under the ids of a person and of the
event. Its promises, which one test-suite checks on every store:

- an event is on disk (Redis: in the append-only file, with ``appendfsync always``) before ``append``
  returns, and in the next ``history``;
- an event with an ``event_id`` that the person already has changes nothing, also after the event itself has
  left the capped history (the ids of the last ``IDS_REMEMBERED`` histories are kept);
- ``delete`` leaves nothing of the person but a record of the deletion, which holds no id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from engine.errors import FirstclickError

HISTORY = 500
IDS_REMEMBERED = 10


class StoreError(FirstclickError):
    """The store cannot be reached or written now; the same call may succeed later."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of one person; ``body`` is what JSON can hold."""

    user_id: str
    event_id: str
    body: Mapping[str, Any]

    def to_json(self) -> str:
        return json.dumps([self.event_id, self.body], ensure_ascii=False, separators=(",", ":"))

    @staticmethod
    def from_json(user_id: str, text: str | bytes) -> Entry:
        event_id, body = json.loads(text)
        return Entry(user_id, event_id, body)


@dataclass(frozen=True, slots=True)
class Deletion:
    """The record of one deletion: enough to prove it to who knows the id, without keeping the id."""

    at: str  # ISO 8601, UTC
    subject: str  # sha256 of the user's id
    events: int  # that were deleted
    by: str  # who asked: the name of an API key

    @staticmethod
    def now(user_id: str, events: int, by: str) -> Deletion:
        return Deletion(datetime.now(UTC).isoformat(timespec="seconds"), digest(user_id), events, by)


class EventStore(Protocol):
    """Called from one event loop; several processes may share what is behind it."""

    async def append(self, entries: Sequence[Entry]) -> list[bool]:
        """Keep ``entries``, all or none; says for each whether it was new. Order of arrival is kept."""

    async def history(self, user_id: str) -> list[Entry]:
        """The person's newest events, oldest first; empty for a stranger."""

    async def delete(self, user_id: str, by: str) -> Deletion:
        """Remove all that is kept of the person and record that it was done."""

    async def deletions(self, limit: int) -> list[Deletion]:
        """The newest deletions, newest first."""

    async def close(self) -> None:
        """Let go of files and connections."""


def digest(user_id: str) -> str:
    return hashlib.sha256(user_id.encode()).hexdigest()
