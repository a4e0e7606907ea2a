"""Paths for those who watch over the server."""

from __future__ import annotations

from fastapi import APIRouter

from serve_apps.answers import StatusAnswer
from serve_apps.paths.documented import UNAVAILABLE, problems
from serve_apps.service import Service


def status(service: Service) -> APIRouter:
    router = APIRouter(tags=["status"])

    @router.get("/healthz", response_model_exclude_none=True)
    async def healthz() -> StatusAnswer:
        """The process answers."""
        return StatusAnswer(status="ok")

    @router.get("/readyz", responses=problems(UNAVAILABLE))
    async def readyz() -> StatusAnswer:
        """A model is loaded: send traffic."""
        return StatusAnswer(status="ready", model_version=service.stage.answering(None).version)

    return router
