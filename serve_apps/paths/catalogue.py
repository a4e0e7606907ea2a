"""Paths about items, the same for everyone.

Both search, which scans the catalogue's text, and likeness, which reads all embeddings, run in a thread.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.exceptions import HTTPException

from serve_apps.answers import ItemsAnswer, SimilarAnswer
from serve_apps.paths.documented import ABSENT, INVALID, UNAVAILABLE, problems
from serve_apps.requests import ItemsQuery, SimilarQuery
from serve_apps.service import Service

ItemId = Annotated[
    str, Path(min_length=1, max_length=256, description="Percent-encoded; it may hold slashes.")
]


def catalogue(service: Service) -> APIRouter:
    router = APIRouter(tags=["catalogue"], responses=problems(INVALID, UNAVAILABLE))

    @router.get("/v1/items", response_model_exclude_none=True)
    def items(search: Annotated[ItemsQuery, Query()]) -> ItemsAnswer:
        """Find items by id or title, or list the most popular."""
        return service.stage.answering(None).find_items(search)

    @router.get(
        "/v1/items/{item_id:path}/similar", response_model_exclude_none=True, responses=problems(ABSENT)
    )
    def similar(item_id: ItemId, query: Annotated[SimilarQuery, Query()]) -> SimilarAnswer:
        """Items that are liked and disliked by the same people as this one."""
        answer = service.stage.answering(None).similar(item_id, query.k)
        if answer is None:
            raise HTTPException(404, "There is no such item in the catalogue.")
        return answer

    return router
