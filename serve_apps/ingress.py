"""The HTTP interface: paths, what each takes and answers.

Knows nothing of Ray and of how the model came to be loaded. Adapting and ranking take about a millisecond and
run on the event loop; explaining, which adapts once for each event, and search, which scans the catalogue's
text, run in a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.openapi.utils import get_openapi
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from serve_apps import problems
from serve_apps.bodies import LIMIT_BYTES, BodyLimit, StrictJsonRoute
from serve_apps.schemas import (
    ItemsAnswer,
    ItemsQuery,
    ModelAnswer,
    RecommendAnswer,
    RecommendRequest,
    StatusAnswer,
)
from serve_apps.served_model import ServedModel

_SUMMARY = "Recommends well to people it has hardly seen."
_PROBLEMS: dict[int, str] = {
    400: "The body is not valid JSON.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
    422: "A field or parameter is missing, unknown, of the wrong type or out of range.",
}
_NOT_READY = {503: "No model is loaded yet."}


def _documented(kinds: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": problems.Problem, "description": text} for status, text in kinds.items()}


def create_app(current: Callable[[], ServedModel | None], *, limit_bytes: int = LIMIT_BYTES) -> FastAPI:
    """The application.

    Args:
        current: gives the model to answer with, anew for each request; None while there is none (503).
        limit_bytes: largest body that is read.
    """
    app = FastAPI(title="firstclick", summary=_SUMMARY, version="1", redirect_slashes=False)
    app.router.route_class = StrictJsonRoute
    _add_operations(app, current)
    _add_status(app, current)
    app.add_middleware(BodyLimit, limit_bytes=limit_bytes)
    problems.install(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _ready(model: ServedModel | None) -> ServedModel:
    if model is None:
        raise HTTPException(
            503, "No model is loaded yet. Try again in a moment.", headers={"Retry-After": "1"}
        )
    return model


def _add_operations(app: FastAPI, current: Callable[[], ServedModel | None]) -> None:
    @app.post(
        "/v1/recommend",
        response_model_exclude_none=True,
        responses=_documented(_PROBLEMS | _NOT_READY),
        tags=["recommend"],
    )
    async def recommend(request: RecommendRequest) -> RecommendAnswer:
        """The slate for a person with these events. Nothing is stored: the same request, the same answer."""
        model = _ready(current())
        if request.explain:
            return await run_in_threadpool(model.recommend, request)
        return model.recommend(request)

    @app.get(
        "/v1/items",
        response_model_exclude_none=True,
        responses=_documented({422: _PROBLEMS[422]} | _NOT_READY),
        tags=["catalogue"],
    )
    def items(search: Annotated[ItemsQuery, Query()]) -> ItemsAnswer:
        """Find items by id or title."""
        return _ready(current()).find_items(search.query, search.limit)

    @app.get("/v1/model", responses=_documented(_NOT_READY), tags=["model"])
    async def model() -> ModelAnswer:
        """Which model answers, what it was trained on and how good it is."""
        return _ready(current()).describe()


def _add_status(app: FastAPI, current: Callable[[], ServedModel | None]) -> None:
    @app.get("/healthz", response_model_exclude_none=True, tags=["status"])
    async def healthz() -> StatusAnswer:
        """The process answers."""
        return StatusAnswer(status="ok")

    @app.get("/readyz", responses=_documented(_NOT_READY), tags=["status"])
    async def readyz() -> StatusAnswer:
        """A model is loaded: send traffic."""
        return StatusAnswer(status="ready", model_version=_ready(current()).version)


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, with problems under their own media type."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        for path in schema["paths"].values():
            for operation in path.values():
                for status, response in operation["responses"].items():
                    if status >= "400":
                        response["content"] = {problems.MEDIA_TYPE: response["content"]["application/json"]}
        app.openapi_schema = schema
    return app.openapi_schema
