"""Paths about items, the same for everyone.

Search scans the catalogue's text and runs in a thread.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from serve_apps.answers import ItemsAnswer
from serve_apps.paths.documented import INVALID, UNAVAILABLE, problems
from serve_apps.requests import ItemsQuery
from serve_apps.service import Service


def catalogue(service: Service) -> APIRouter:
    router = APIRouter(tags=["catalogue"], responses=problems(INVALID, UNAVAILABLE))

    @router.get("/v1/items", response_model_exclude_none=True)
    def items(search: Annotated[ItemsQuery, Query()]) -> ItemsAnswer:
        """Find items by id or title."""
        return service.stage.answering(None).find_items(search.query, search.limit)

    return router
