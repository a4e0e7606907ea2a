"""The HTTP interface as one ASGI application: the paths, and the layers in front of them.

From the outside in: unexpected errors, the access log, origins of web pages, API keys, the limit on bodies,
the short way to recommendations; behind them FastAPI with what it brings along. Knows nothing of Ray and of
how the model came to be loaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_apps import problems
from serve_apps.access_log import AccessLog, Line
from serve_apps.batches import Batches
from serve_apps.bodies import LIMIT_BYTES, BodyLimit
from serve_apps.paths.catalogue import catalogue
from serve_apps.paths.model import about_model, rolling_out
from serve_apps.paths.people import about_people
from serve_apps.paths.playground import playground
from serve_apps.paths.recommending import recommended, recommending
from serve_apps.paths.short_cut import ShortCut
from serve_apps.paths.status import status
from serve_apps.security.api_keys import ApiKeys
from serve_apps.security.guard import Guard, needed_scope
from serve_apps.security.rate_limit import RateLimit
from serve_apps.service import Service
from serve_apps.trace import REQUEST_ID

_SUMMARY = "Recommends well to people it has hardly seen."
_PREFLIGHT_S = 600


def create_app(
    service: Service,
    *,
    keys: ApiKeys | None = None,
    rate: RateLimit | None = None,
    cors_origins: Sequence[str] = (),
    limit_bytes: int = LIMIT_BYTES,
    lines: Batches[Line] | None = None,
) -> FastAPI:
    """The application.

    Args:
        service: what answers; its models may still be missing (503).
        keys: who may call; None: everyone.
        rate: how often each key may call.
        cors_origins: origins of web pages that may call.
        limit_bytes: largest body that is read.
        lines: takes the lines of the access log; None: its logger.
    """
    app = _Layered(
        title="firstclick",
        summary=_SUMMARY,
        version="1",
        redirect_slashes=False,
        lifespan=_lifespan(service, lines),
    )
    described = app.router.routes.copy()
    app.router.routes.clear()
    for part in (recommending, catalogue, about_model, rolling_out, status):
        app.include_router(part(service))
    app.include_router(about_people(service), include_in_schema=service.events is not None)
    app.include_router(playground())
    app.router.routes += described  # last: Serve looks through the routes at each request
    problems.install(app)
    layered: ASGIApp = ShortCut(app.layered, partial(recommended, service))
    layered = BodyLimit(layered, limit_bytes)
    if keys is not None:
        layered = Guard(layered, keys, rate)
    if cors_origins:
        layered = CORSMiddleware(
            layered,
            allow_origins=cors_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type", REQUEST_ID, "X-Timing"],
            expose_headers=[REQUEST_ID, "Retry-After", "Server-Timing"],
            max_age=_PREFLIGHT_S,
        )
    # FastAPI has a layer for what its paths do not foresee; this one is for what the layers do not
    app.layered = problems.UnexpectedErrors(AccessLog(layered, service.telemetry, lines))
    app.openapi = lambda: _openapi(app, guarded=keys is not None)  # type: ignore[method-assign]
    return app


class _Layered(FastAPI):
    """FastAPI behind ``layered``, which ends in FastAPI itself."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.layered: ASGIApp = super().__call__

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.layered(scope, receive, send)


def _lifespan(service: Service, lines: Batches[Line] | None) -> Any:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(service.models.watch())
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        if service.events is not None:
            await service.events.close()
        if lines is not None:
            lines.flush()
        if service.telemetry is not None:
            service.telemetry.flush()

    return lifespan


def _openapi(app: FastAPI, guarded: bool) -> dict[str, Any]:
    """FastAPI's document, with problems under their own media type, and keys where they are asked for."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                _complete(operation, needed_scope(path) if guarded else None)
        if guarded:
            schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        app.openapi_schema = schema
    return app.openapi_schema


_PROBLEM = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_GUARDED = {
    "401": "The API key is missing or not valid.",
    "403": "The API key's scope does not reach this path.",
    "429": "Too many requests with this key; see Retry-After.",
}


def _complete(operation: dict[str, Any], scope: str | None) -> None:
    for code, response in operation["responses"].items():
        if code >= "400":
            response["content"] = _PROBLEM
    if scope is not None:
        operation["security"] = [{"key": []}]
        operation["description"] = f"{operation.get('description', '')}\n\nScope of the key: `{scope}`."
        for code, text in _GUARDED.items():
            operation["responses"][code] = {"description": text, "content": _PROBLEM}
