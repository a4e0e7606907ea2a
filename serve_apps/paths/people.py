"""Paths about people's events: taking them in, giving them out, deleting them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from serve_apps import people
from serve_apps.answers import DeletionAnswer, DeletionsAnswer, EventsAnswer, UserAnswer
from serve_apps.bodies import StrictJsonRoute
from serve_apps.paths.documented import ABSENT, BODY, INVALID, UNAVAILABLE, problems
from serve_apps.requests import StoredEvents, body
from serve_apps.service import Service
from serve_apps.trace import caller

UserId = Annotated[
    str, Path(min_length=1, max_length=256, description="Percent-encoded; it may hold slashes.")
]


def about_people(service: Service) -> APIRouter:
    router = APIRouter(route_class=StrictJsonRoute, responses=problems(ABSENT, INVALID, UNAVAILABLE))

    @router.post("/v1/events", responses=problems(BODY), tags=["events"])
    async def add_events(events: StoredEvents) -> EventsAnswer:
        """Keep events, all or none. They count in the very next request that names their `user_id`.

        Give each an `event_id`, and sending it again, after a failure or by mistake, changes nothing.
        """
        store = service.store
        service.stage.answering(None).check([body(event) for event in events])
        return await people.keep(store, events)

    @router.get(
        "/v1/users/{user_id:path}/events", response_model_exclude_none=True, tags=["users"], name="export"
    )
    async def export(user_id: UserId) -> UserAnswer:
        """All that is kept of a person; nothing for a stranger."""
        return await people.export(service.store, user_id)

    @router.delete("/v1/users/{user_id:path}", tags=["users"])
    @router.delete("/v1/users/{user_id:path}/events", tags=["users"], name="forget_events")
    async def forget(user_id: UserId, request: Request) -> DeletionAnswer:
        """Delete all that is kept of a person: to the next request they are a stranger.

        Events are all that is kept, so both paths do the same; the longer one is exact for an id that ends
        in `/events`.
        """
        return await people.forget(service.store, user_id, caller(request.scope))

    @router.get("/v1/deletions", tags=["users"])
    async def deletions(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> DeletionsAnswer:
        """The record of deletions, newest first."""
        return await people.deletions(service.store, limit)

    return router
