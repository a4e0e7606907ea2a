"""Paths for those who watch over the server."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from serve_apps.answers import StatusAnswer
from serve_apps.paths.documented import ABSENT, UNAVAILABLE, problems
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

    @router.get("/metrics", response_class=PlainTextResponse, responses=problems(ABSENT))
    async def metrics() -> str:
        """What Prometheus reads: of all replicas on all nodes, as of the last ten seconds."""
        if service.metrics is None:
            raise HTTPException(404, "This server is not measured.")
        return await service.metrics()

    return router
