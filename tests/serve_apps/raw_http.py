"""Bytes on a socket, as no well-behaved client would send them, and what a server says to them."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import urlsplit


class Reply(NamedTuple):
    """``status`` 0: the connection was closed without a word."""

    status: int
    headers: bytes
    body: bytes


class Connection:
    """One connection to the server at ``url``; every wait ends after ``timeout_s``."""

    def __init__(self, url: str, timeout_s: float = 30.0) -> None:
        place = urlsplit(url)
        self._socket = socket.create_connection((place.hostname, place.port), timeout_s)
        self._read = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, pieces: bytes | Iterable[bytes], pause_s: float = 0.0) -> None:
        """Send pieces with pauses; a server that has hung up in between ends it."""
        try:
            for piece in [pieces] if isinstance(pieces, bytes) else pieces:
                self._socket.sendall(piece)
                time.sleep(pause_s)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def reply(self, has_body: bool = True) -> Reply:
        """The next reply on this connection."""
        if not self._fill(lambda: b"\r\n\r\n" in self._read):
            return Reply(0, b"", b"")
        headers, _, self._read = self._read.partition(b"\r\n\r\n")
        body = self._body(headers.lower()) if has_body else b""
        return Reply(int(headers.split(b" ", 2)[1]), headers.lower(), body)

    def _body(self, headers: bytes) -> bytes:
        """Of a body in chunks, the chunks as they come."""
        if b"transfer-encoding: chunked" in headers:
            self._fill(lambda: self._read.endswith(b"0\r\n\r\n"))
            length = len(self._read)
        else:
            length = int(headers.partition(b"content-length:")[2].partition(b"\r\n")[0])
            self._fill(lambda: len(self._read) >= length)
        body, self._read = self._read[:length], self._read[length:]
        return body

    def _fill(self, enough: Callable[[], bool]) -> bool:
        while not enough():
            try:
                more = self._socket.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                return False
            self._read += more
        return True


def post(body: bytes, key: str = "", path: str = "/v1/recommend", *headers: str) -> bytes:
    """A whole request."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: test",
        "Content-Type: application/json",
        f"Authorization: Bearer {key}",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunks(body: bytes, size: int = 65536) -> bytes:
    """A body for ``Transfer-Encoding: chunked``."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
