"""Callers that cost little: requests as bytes, over connections that stay open, and how long each took.

Knows nothing of what the requests mean. A rate is kept whatever the answers do: a request that could not be
sent in time, since all connections waited, counts from when it was due.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

Requests = Callable[[int], bytes]  # the n-th one


@dataclass
class Answers:
    """``taken``: of each request, when it was due and how long it took, in seconds, in order of answers."""

    taken: list[tuple[float, float]] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)


def request(path: str, key: str, body: Any) -> bytes:
    """A POST of ``body`` as JSON."""
    content = json.dumps(body).encode()
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: test",
        "Content-Type: application/json",
        f"Authorization: Bearer {key}",
        f"Content-Length: {len(content)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def call(
    url: str, requests: Requests, duration_s: float, callers: int, per_second: float | None = None
) -> Answers:
    """Send ``requests`` for a while: as fast as ``callers`` get answers, or so many per second."""
    place, answers = urlsplit(url), Answers()
    numbers, start = itertools.count(), time.perf_counter()

    async def caller() -> None:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        for number in numbers:
            due = number / per_second if per_second else time.perf_counter() - start
            if due > duration_s:
                break
            await asyncio.sleep(max(0.0, due - (time.perf_counter() - start)) if per_second else 0)
            writer.write(requests(number))
            answers.statuses[await _status(reader)] += 1
            answers.taken.append((due, time.perf_counter() - start - due))
        writer.close()

    async def everybody() -> None:
        await asyncio.gather(*(caller() for _ in range(callers)))

    asyncio.run(everybody())
    return answers


async def _status(reader: asyncio.StreamReader) -> int:
    headers = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = headers.partition(b"content-length:")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length))
    return int(headers.split(b" ", 2)[1])
