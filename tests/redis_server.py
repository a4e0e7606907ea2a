"""A real Redis for tests: started on a free port, killed and started again at will."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.ports import free_port


def require_redis() -> None:
    """Skip the test where there is none."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed: make redis, or apt-get install redis-server")


class RedisServer:
    """``redis-server`` with its append-only file, if it shall have one, in ``folder``."""

    def __init__(self, folder: Path, appendonly: bool = True) -> None:
        require_redis()
        self._appendonly = "yes" if appendonly else "no"
        self.folder, self.port = folder, free_port()
        self.start()

    @property
    def address(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.folder,
            "appendonly": self._appendonly,
            "appendfsync": "always",
            "save": "",
        }
        arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen(["redis-server", *arguments], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not self._answers():
            assert self._process.poll() is None, "redis-server ended"
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.02)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def flush(self) -> None:
        assert self.say("FLUSHALL") == "+OK"

    def say(self, command: str) -> str:
        """The start of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(100).decode().strip()

    def _answers(self) -> bool:
        try:
            return self.say("PING") == "+PONG"
        except OSError:
            return False
