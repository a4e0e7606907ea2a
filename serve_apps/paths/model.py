"""Paths about the models: which answers now, and which shall."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from engine.errors import ArtifactError, ConfigError
from serve_apps.answers import ModelAnswer, ModelsAnswer, VersionAnswer
from serve_apps.bodies import StrictJsonRoute
from serve_apps.model_registry import ModelRegistry
from serve_apps.paths.documented import ABSENT, BODY, CONFLICT, INVALID, UNAVAILABLE, problems
from serve_apps.roll_out import RollOut
from serve_apps.service import Service


def about_model(service: Service) -> APIRouter:
    router = APIRouter(tags=["model"], responses=problems(UNAVAILABLE))

    @router.get("/v1/model")
    async def model() -> ModelAnswer:
        """Which model answers, what it was trained on and how good it is."""
        return service.stage.answering(None).describe()

    return router


def rolling_out(service: Service) -> APIRouter:
    router = APIRouter(
        route_class=StrictJsonRoute,
        tags=["models"],
        responses=problems(ABSENT, CONFLICT, UNAVAILABLE),
    )

    @router.get("/v1/models", response_model_exclude_none=True)
    async def models() -> ModelsAnswer:
        """The versions there are, which are in use, and how a shadow compares."""
        return await _state(service)

    @router.put("/v1/models/roll-out", response_model_exclude_none=True, responses=problems(BODY, INVALID))
    async def put_roll_out(roll_out: RollOut) -> ModelsAnswer:
        """Put versions to use: replicas load them and change over in about a second, without a pause.

        A version that is missing or broken is refused, and nothing changes.
        """
        return await _change(service, lambda registry: registry.put(roll_out))

    @router.post("/v1/models/rollback", response_model_exclude_none=True)
    async def rollback() -> ModelsAnswer:
        """Let the version answer that was live before; again goes one further back."""
        return await _change(service, lambda registry: registry.rollback())

    return router


async def _change(service: Service, change: Any) -> ModelsAnswer:
    registry: ModelRegistry = service.registry
    if service.models.pinned is not None:
        raise HTTPException(409, "The roll-out is set by user_config of the Serve config; change it there.")
    try:
        await run_in_threadpool(change, registry)
    except (ArtifactError, ConfigError) as error:
        raise HTTPException(409, str(error)) from None
    await service.models.refresh()
    return await _state(service)


async def _state(service: Service) -> ModelsAnswer:
    infos = await run_in_threadpool(service.registry.versions)
    stage, models = service.stage, service.models
    versions = [
        VersionAnswer(
            model_version=info.version,
            created_at=info.manifest.get("created_at"),
            quality=info.manifest.get("quality"),
        )
        for info in infos
    ]
    return ModelsAnswer(
        versions=versions,
        in_use=stage.roll_out,
        pinned=models.pinned is not None,
        refused=models.refused,
        shadow=stage.shadow and stage.shadow.report(),
    )
