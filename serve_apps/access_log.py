"""One line of JSON in the log for each request, and an id for it that the caller sees, too.

No personal data: the path's pattern stands for the path (which may hold a user's id), the name of the API
key for the caller; query strings, bodies and addresses are left out. Ray Serve's own access log writes paths
out: keep it off.

In a replica the lines stand in a file of their own beside Serve's (``own_file``): Serve's way of writing one
costs as much as the search for what to show.
"""

from __future__ import annotations

import logging
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic_core import to_json
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_apps.batches import Batches
from serve_apps.trace import REQUEST_ID, age_s, caller, pattern, request_id, start

if TYPE_CHECKING:  # brings Ray
    from serve_apps.telemetry import Telemetry

_log = logging.getLogger(__name__)
_ID_HEADER = REQUEST_ID.lower().encode()

PAUSE_S, MOST = 1.0, 100
"""Seconds or lines until lines are written; what a replica that is killed may lose."""


class Line(NamedTuple):
    """One request."""

    at: float  # Unix seconds
    request_id: str
    method: str
    path: str  # the pattern
    status: int  # 0: the caller left before there was an answer
    ms: float
    key: str  # the name of the API key

    def json(self) -> str:
        return to_json(self._asdict() | {"at": round(self.at, 3), "ms": round(self.ms, 2)}).decode()


def own_file(serve: logging.Logger) -> Batches[Line] | None:
    """Writes many lines at once to a file beside the one that ``serve`` logs to; None where that has none."""
    files = (getattr(handler, "target", None) for handler in serve.handlers)
    file = next((file for file in files if isinstance(file, RotatingFileHandler)), None)
    if file is None:
        return None
    path = Path(file.baseFilename)
    own = RotatingFileHandler(path.with_name(f"access_{path.name}"), "a", file.maxBytes, file.backupCount)

    def write(lines: list[Line]) -> None:
        own.handle(logging.makeLogRecord({"msg": "\n".join(line.json() for line in lines)}))
        own.close()  # until the next time

    return Batches(write, MOST, PAUSE_S)


class AccessLog:
    """See the module.

    Args:
        lines: takes the lines; None: the logger of this module.
    """

    def __init__(
        self, app: ASGIApp, telemetry: Telemetry | None = None, lines: Batches[Line] | None = None
    ) -> None:
        self._app, self._telemetry = app, telemetry
        self._write = _to_logger if lines is None else lines.add

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        start(scope)
        status, own_id = 0, request_id(scope)

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((_ID_HEADER, own_id.encode()))
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
            line = time.time(), request_id(scope), scope["method"], pattern(scope), status, seconds * 1000
            self._write(Line(*line, caller(scope)))


def _to_logger(line: Line) -> None:
    _log.info(line.json())
