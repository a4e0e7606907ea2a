"""Reads request bodies: at most so many bytes, within so many seconds, JSON by the letter, read once.

Knows nothing of what the JSON means. The limit holds for the announced length and for what really arrives,
so that a chunked body cannot get around it. JSON is parsed by pydantic's own parser, which refuses NaN,
infinity, text that is not UTF-8, and nesting deep enough to exhaust the stack.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_apps.problems import ProblemResponse
from serve_apps.trace import header

T = TypeVar("T")

LIMIT_BYTES = 1 << 20
TIMEOUT_S = 5.0


class BodyLimit:
    """ASGI layer that answers 413 to bodies over ``limit_bytes`` and hands smaller ones on in one piece.

    A body that has not arrived after ``timeout_s`` gets 408: until then it takes a place among the requests
    that a replica holds.
    """

    def __init__(self, app: ASGIApp, limit_bytes: int = LIMIT_BYTES, timeout_s: float = TIMEOUT_S) -> None:
        self._app, self._limit_bytes, self._timeout_s = app, limit_bytes, timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        announced = header(scope, b"content-length")
        if announced.isdigit() and int(announced[:20]) > self._limit_bytes:
            return await self._too_large()(scope, receive, send)
        try:
            body = await within(self._timeout_s, self._read(receive))
        except TimeoutError:
            detail = f"The body did not arrive within {self._timeout_s:g} seconds."
            return await ProblemResponse(408, detail)(scope, receive, send)
        if body is None:
            return None
        if len(body) > self._limit_bytes:
            return await self._too_large()(scope, receive, send)
        return await self._app(scope, replay(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        """The body, or its beginning if that is too long already; None where the caller has left."""
        pieces, length = list[bytes](), 0
        while length <= self._limit_bytes:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            pieces.append(message.get("body", b""))
            length += len(pieces[-1])
            if not message.get("more_body", False):
                break
        return b"".join(pieces)

    def _too_large(self) -> ProblemResponse:
        detail = f"The body is larger than {self._limit_bytes} bytes. Send fewer events or candidates."
        return ProblemResponse(413, detail)


async def within(timeout_s: float, awaited: Coroutine[Any, Any, T]) -> T:
    """``async with asyncio.timeout(timeout_s)`` for a fourth of its price, which each request pays.

    Raises:
        TimeoutError: it took longer, and was cancelled.
    """
    task, late = asyncio.current_task(), TimeoutError()
    assert task is not None
    timer = asyncio.get_running_loop().call_later(timeout_s, task.cancel, late)
    try:
        return await awaited
    except asyncio.CancelledError as error:
        if error.args == (late,) and task.uncancel() == 0:
            raise late from error
        raise
    finally:
        timer.cancel()


def replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives ``body`` first and then whatever still comes (a disconnect)."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def first_it() -> Message:
        return pending.pop() if pending else await receive()

    return first_it


class _StrictRequest(Request):
    async def json(self) -> Any:
        try:
            return from_json(await self.body(), allow_inf_nan=False)
        except ValueError as error:
            raise HTTPException(400, f"The body is not valid JSON: {error}.") from None


class StrictJsonRoute(APIRoute):
    """A route whose body must be declared as JSON (else 415) and be valid JSON in UTF-8 (else 400)."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            if self.body_field is not None:
                kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
                if kind != "application/json":
                    raise HTTPException(415, "Send JSON with the header Content-Type: application/json.")
            return await handle(_StrictRequest(request.scope, request.receive))

        return strict
