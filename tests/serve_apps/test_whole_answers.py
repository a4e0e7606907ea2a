"""What a server writes for one answer leaves in one piece, and nothing is held back for good."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.config import HTTP_PROTOCOLS

from serve_apps.whole_answers import JoinedWrites, WholeAnswers, install

Send = Callable[[dict[str, Any]], Awaitable[None]]
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]}


class Written:
    """A transport that keeps what was written, piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def test_a_head_waits_for_the_body_but_not_for_the_event_loop() -> None:
    async def pieces() -> list[bytes]:
        written = Written()
        joined = JoinedWrites(written, asyncio.get_running_loop())
        joined.write(b"head ")
        joined.write(b"body")
        joined.write(b"alone")
        await asyncio.sleep(0)
        joined.write(b"head without ")
        joined.write(b"")
        joined.write(b"last")
        joined.close()
        assert joined.is_closing()
        return written.pieces

    assert asyncio.run(pieces()) == [b"head body", b"alone", b"head without ", b"last"]


def test_servers_that_start_after_it_is_installed_send_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of uvicorn's table of protocols, as Serve's servers use it."""
    monkeypatch.setitem(HTTP_PROTOCOLS, "auto", HTTP_PROTOCOLS["auto"])
    install()
    config = uvicorn.Config(whole, log_config=None)
    config.load()
    assert config.http_protocol_class is WholeAnswers


async def whole(send: Send) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"whole"})


async def in_pieces(send: Send) -> None:
    await send(START)
    await asyncio.sleep(0.05)
    await send({"type": "http.response.body", "body": b"wh", "more_body": True})
    await asyncio.sleep(0.05)
    await send({"type": "http.response.body", "body": b"ole"})


@pytest.mark.parametrize(("answer", "n_pieces"), [(whole, 1), (in_pieces, 3)])
def test_uvicorn_sends_an_answer_in_one_piece(answer: Callable[[Send], Any], n_pieces: int) -> None:
    pieces: list[bytes] = []

    class Counted(WholeAnswers):
        def connection_made(self, transport: asyncio.Transport) -> None:
            kept = Written()
            kept.write = lambda data: (pieces.append(data), transport.write(data))  # type: ignore[method-assign]
            kept.get_extra_info = transport.get_extra_info  # type: ignore[attr-defined]
            kept.close = transport.close  # type: ignore[method-assign]
            super().connection_made(kept)  # type: ignore[arg-type]

    async def app(_: Any, __: Any, send: Send) -> None:
        await answer(send)

    async def ask() -> bytes:
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, http=Counted, lifespan="off", log_config=None))
        serving = asyncio.create_task(server.serve([listening]))
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answered = await reader.read()
        writer.close()
        server.should_exit = True
        await serving
        return answered

    assert asyncio.run(ask()).endswith(b"\r\n\r\nwhole")
    assert len(pieces) == n_pieces
