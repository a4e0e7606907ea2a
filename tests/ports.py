"""Ports of this machine for servers that a test starts."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

FREE = range(20_000, 30_000)
"""Ray's workers and replicas take others, and the kernel gives connections others: none is lost meanwhile."""


def free_port() -> int:
    """A port that nobody listens on, at whichever of this machine's addresses."""
    while True:
        port = random.SystemRandom().choice(FREE)
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", port))
            return port
