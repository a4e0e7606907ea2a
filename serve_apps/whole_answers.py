"""Sends an answer in one piece: its head waits for the body that follows, and both leave in one write.

uvicorn writes them one after the other. That costs a system call and a packet more on each hop, and a
replica that is killed in between leaves half an answer, which no proxy can take back: one that got nothing
asks another replica. (An answer too long for a socket's buffer still leaves in pieces.) Knows nothing of what
is answered.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.config import HTTP_PROTOCOLS
from uvicorn.protocols.http.auto import AutoHTTPProtocol


def install() -> None:
    """For every uvicorn server that starts in this process from now on, as Serve's does in a replica."""
    HTTP_PROTOCOLS["auto"] = f"{__name__}:{WholeAnswers.__name__}"


class WholeAnswers(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's own protocol, behind a transport that joins writes."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(JoinedWrites(transport, asyncio.get_running_loop()))


class JoinedWrites:
    """A transport that joins every second write to the one before, unless the event loop comes between.

    What is written alone leaves as soon as the event loop gets to it. uvicorn writes by no other method.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop, self._held = transport, loop, b""

    def write(self, data: bytes) -> None:
        if self._held:
            data, self._held = self._held + data, b""
            self._transport.write(data)
        elif data:
            self._held = data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            self.write(b"")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
