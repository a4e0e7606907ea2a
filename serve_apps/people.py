"""People's events: taken in, put before those of a request, given out, deleted.

Knows nothing of HTTP. All is done on an event store; where there is none, nobody is known.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from serve_apps.answers import (
    DeletionAnswer,
    DeletionsAnswer,
    EventReceipt,
    EventsAnswer,
    StoredEvent,
    UserAnswer,
)
from serve_apps.event_store import Deletion, Entry, EventStore
from serve_apps.requests import Person, UserEvent, bodies, body


class History(NamedTuple):
    """What a person did, oldest first: what is stored, then what the request adds to it."""

    stored: Sequence[Mapping[str, Any]]
    sent: Sequence[Mapping[str, Any]]


async def history_of(store: EventStore | None, person: Person) -> History:
    """The stored events of the person, and those of the request that are not among them."""
    if store is None or person.user_id is None:
        return History((), bodies(person.events))
    stored = await store.history(person.user_id)
    known = {entry.event_id for entry in stored}
    sent = [event for event in person.events if event.get("event_id") not in known]
    return History([entry.body for entry in stored], bodies(sent))


async def keep(store: EventStore, events: Sequence[UserEvent]) -> EventsAnswer:
    """Store events; one without an id gets one, and is then new whenever it is sent again."""
    entries = [
        Entry(event["user_id"], event.get("event_id") or uuid.uuid4().hex, body(event)) for event in events
    ]
    new = await store.append(entries)
    receipts = zip(entries, new, strict=True)
    return EventsAnswer(events=[EventReceipt(event_id=e.event_id, new=flag) for e, flag in receipts])


async def export(store: EventStore, user_id: str) -> UserAnswer:
    """All that is kept of a person."""
    entries = await store.history(user_id)
    return UserAnswer(user_id=user_id, events=[StoredEvent(event_id=e.event_id, **e.body) for e in entries])


async def forget(store: EventStore, user_id: str, by: str) -> DeletionAnswer:
    """Delete all that is kept of a person."""
    return _deletion(await store.delete(user_id, by))


async def deletions(store: EventStore, limit: int) -> DeletionsAnswer:
    return DeletionsAnswer(deletions=[_deletion(d) for d in await store.deletions(limit)])


def _deletion(deletion: Deletion) -> DeletionAnswer:
    return DeletionAnswer(at=deletion.at, subject=deletion.subject, events=deletion.events, by=deletion.by)
