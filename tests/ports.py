"""Ports of this machine for servers that a test starts."""

from __future__ import annotations

import random
import socket

FREE = range(20_000, 30_000)
"""Ray's workers and replicas take others, and the kernel gives connections others: none is lost meanwhile."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    while True:
        port = random.SystemRandom().choice(FREE)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
