"""One line of JSON in the log for each request, and an id for it that the caller sees, too.

No personal data: the path's pattern stands for the path (which may hold a user's id), the name of the API
key for the caller; query strings, bodies and addresses are left out. Ray Serve's own access log writes paths
out: keep it off.

In a replica the lines stand in a file of their own beside Serve's (``own_file``): Serve's way of writing one
costs as much as the search for what to show.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_apps.trace import REQUEST_ID, age_s, caller, pattern, request_id, start

if TYPE_CHECKING:  # brings Ray
    from serve_apps.telemetry import Telemetry

_log = logging.getLogger(__name__)
_ID_HEADER = REQUEST_ID.lower().encode()

PAUSE_S = 1.0
"""Between two writes; what a replica that is killed may lose."""


class _AtOnce(logging.Handler):
    """Writes the lines of a second at once: to write is dear. Knows the running event loop's clock only."""

    def __init__(self, file: RotatingFileHandler) -> None:
        super().__init__()
        self._file, self._lines = file, list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())
        if len(self._lines) == 1:
            asyncio.get_running_loop().call_later(PAUSE_S, self.flush)

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self._file.handle(logging.makeLogRecord({"msg": "\n".join(lines)}))

    def close(self) -> None:
        self.flush()
        self._file.close()
        super().close()


def own_file(serve: logging.Logger) -> None:
    """Write the lines beside the file that ``serve`` logs to, if there is one; of its size and number."""
    files = (getattr(handler, "target", None) for handler in serve.handlers)
    file = next((file for file in files if isinstance(file, RotatingFileHandler)), None)
    if file is None:
        return
    path = Path(file.baseFilename)
    own = RotatingFileHandler(path.with_name(f"access_{path.name}"), "a", file.maxBytes, file.backupCount)
    _log.handlers, _log.propagate = [_AtOnce(own)], False


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
            _log.info(_line(scope, status, seconds))


def _line(scope: Scope, status: int, seconds: float) -> str:
    return json.dumps(
        {
            "at": round(time.time(), 3),
            "request_id": request_id(scope),
            "method": scope["method"],
            "path": pattern(scope),
            "status": status,  # 0: the caller left before there was an answer
            "ms": round(seconds * 1000, 2),
            "key": caller(scope),
        }
    )
