"""The short way to ``POST /v1/recommend``, past the framework's routing and its reading of arguments.

What goes well is answered here, as the path itself would answer it. Everything else is handed on to that
path, which says what is wrong: another content type, a body that does not fit, any error; what has failed
once is not tried again there. Knows nothing of how an answer comes about.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import to_json
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_apps.bodies import replay
from serve_apps.requests import RecommendRequest
from serve_apps.trace import header, route_path

PATH = "/v1/recommend"
FAILED = "firstclick.failed"
"""In the scope: the error met on the short way, for the path to raise."""

Recommend = Callable[[RecommendRequest, Scope], Awaitable[tuple[dict[str, Any], dict[str, str]]]]


class _Matched(NamedTuple):
    """Stands for the route in the scope; see `trace.pattern`."""

    path: str


class ShortCut:
    """ASGI layer; it must stand behind those that limit and guard requests, and get bodies in one piece."""

    def __init__(self, app: ASGIApp, recommend: Recommend) -> None:
        self._app, self._recommend = app, recommend

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_meant(scope):
            return await self._app(scope, receive, send)
        message = await receive()
        body = message.get("body", b"")
        try:
            request = RecommendRequest.model_validate_json(body)
            told, headers = await self._recommend(request, scope)
        except ValidationError:  # the path finds the same and says where
            return await self._app(scope, replay(body, receive), send)
        except Exception as error:
            scope[FAILED] = error
            return await self._app(scope, replay(body, receive), send)
        scope["route"] = _Matched(PATH)
        return await _send_json(to_json(told), headers, send)


def _is_meant(scope: Scope) -> bool:
    if scope["method"] != "POST" or route_path(scope) != PATH:
        return False
    return header(scope, b"content-type").lower() == b"application/json"


async def _send_json(body: bytes, headers: dict[str, str], send: Send) -> None:
    raw = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
    raw += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    start: Message = {"type": "http.response.start", "status": 200, "headers": raw}
    await send(start)
    await send({"type": "http.response.body", "body": body})
