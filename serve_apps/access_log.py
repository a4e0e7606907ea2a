"""One line of JSON in the log for each request, and an id for it that the caller sees, too.

No personal data: the path's pattern stands for the path (which may hold a user's id), the name of the API
key for the caller; query strings, bodies and addresses are left out. Ray Serve's own access log writes paths
out: keep it off.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_apps.trace import REQUEST_ID, age_s, caller, pattern, request_id, start

if TYPE_CHECKING:  # brings Ray
    from serve_apps.telemetry import Telemetry

_log = logging.getLogger(__name__)


class AccessLog:
    """See the module."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry | None = None) -> None:
        self._app, self._telemetry = app, telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        start(scope)
        status, own_id = 0, request_id(scope)

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = own_id
            await send(message)

        try:
            await self._app(scope, receive, note)
        except Exception:
            status = 500
            raise
        finally:
            self._note(scope, status)
        return None

    def _note(self, scope: Scope, status: int) -> None:
        seconds = age_s(scope)
        if self._telemetry is not None:
            self._telemetry.answered_request(pattern(scope), status, seconds)
        if _log.isEnabledFor(logging.INFO):
            _log.info(_line(scope, status, seconds))


def _line(scope: Scope, status: int, seconds: float) -> str:
    return json.dumps(
        {
            "request_id": request_id(scope),
            "method": scope["method"],
            "path": pattern(scope),
            "status": status,  # 0: the caller left before there was an answer
            "ms": round(seconds * 1000, 2),
            "key": caller(scope),
        }
    )
