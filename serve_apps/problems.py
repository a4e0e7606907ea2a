"""Every error as RFC 9457 problem details (``application/problem+json``), never a stack trace.

Knows nothing of the recommender. ``type`` is left out (``about:blank``): the status says which kind of
problem it is, ``detail`` says what is wrong and ``errors`` names each field, as a JSON pointer or as the
name of a query parameter.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.errors import RequestError
from serve_apps.event_store import StoreError
from serve_apps.trace import REQUEST_ID, pattern, request_id

MEDIA_TYPE = "application/problem+json"
FIELDS_MAX = 20

_log = logging.getLogger(__name__)


class FieldError(BaseModel):
    detail: str
    pointer: str | None = Field(
        default=None, description="JSON pointer into the body, e.g. #/events/0/value."
    )
    parameter: str | None = Field(default=None, description="Name of the query parameter.")


class Problem(BaseModel):
    """RFC 9457 problem details."""

    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None
    request_id: str | None = Field(
        default=None, description="Given for 500: the id to look for in the server's log."
    )


class ProblemResponse(JSONResponse):
    """One problem as a response."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[FieldError] | None = None,
        request_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        problem = Problem(
            title=HTTPStatus(status).phrase,
            status=status,
            detail=detail,
            errors=list(errors) if errors else None,
            request_id=request_id,
        )
        super().__init__(problem.model_dump(exclude_none=True), status_code=status, headers=headers)


def _pointer(path: Sequence[str | int]) -> str:
    """RFC 6901, as a URI fragment: ``("events", 0, "value")`` -> ``#/events/0/value``."""
    return "#" + "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _field_error(error: Mapping[str, Any]) -> FieldError:
    place, *path = error["loc"]
    message = str(error["msg"]).removeprefix("Value error, ")
    if place == "body":
        return FieldError(detail=message, pointer=_pointer(path))
    return FieldError(detail=message, parameter=str(path[-1]) if path else str(place))


def _on_invalid(_: Request, error: RequestValidationError) -> ProblemResponse:
    fields = [_field_error(e) for e in error.errors()]
    first, more = fields[0], len(fields) - 1
    detail = f"{first.parameter or first.pointer}: {first.detail}" + (f" (and {more} more)" if more else "")
    return ProblemResponse(422, detail, errors=fields[:FIELDS_MAX])


def _on_request_error(_: Request, error: RequestError) -> ProblemResponse:
    return ProblemResponse(422, str(error))


def _on_store_error(_: Request, error: StoreError) -> ProblemResponse:
    _log.error("%s", error)
    detail = "The event store does not answer. Try again in a moment."
    return ProblemResponse(503, detail, headers={"Retry-After": "1"})


def _on_http_error(request: Request, error: HTTPException) -> ProblemResponse:
    detail = error.detail
    if error.status_code == 404 and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = f"There is no {request.url.path} here; /docs lists what there is."
    elif error.status_code == 405:
        detail = f"{request.url.path} does not answer to {request.method}; see the header Allow."
    return ProblemResponse(error.status_code, detail, headers=error.headers)


class UnexpectedErrors:
    """ASGI layer: what nobody caught is logged with a request id and answered with 500.

    Starlette's own handler for unexpected errors answers and then raises again, which a Serve replica would
    count as a crash of the request; here the error ends.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started = False

        async def note_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, note_start)
        except Exception:
            own_id = request_id(scope)
            _log.exception("request %s (%s %s) failed", own_id, scope["method"], pattern(scope))
            if started:
                raise
            response = ProblemResponse(
                500,
                "The server failed to answer. Its log has the details.",
                request_id=own_id,
                headers={REQUEST_ID: own_id},
            )
            await response(scope, receive, send)
        return None


def install(app: FastAPI) -> None:
    """Make ``app`` answer all errors as problems. Call it after all other middleware is in place."""
    app.add_exception_handler(RequestValidationError, _on_invalid)  # type: ignore[arg-type]
    app.add_exception_handler(RequestError, _on_request_error)  # type: ignore[arg-type]
    app.add_exception_handler(StoreError, _on_store_error)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _on_http_error)  # type: ignore[arg-type]
    app.add_middleware(UnexpectedErrors)
