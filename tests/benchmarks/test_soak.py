"""Hours in small: steady load at 70 % of what the service can do, and what became of memory and latency.

A minute by default; ``FIRSTCLICK_SOAK_S=600`` for ten. Served as shipped: HAProxy, Redis, two replicas. Of
ten requests eight bring their events along, one keeps an event and one asks for a person whose events are
kept.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.callers import Answers, call, request
from tests.processes import descendants, titled
from tests.redis_server import require_redis
from tests.serve_apps.shipped import Shipped, in_own_process, shipped_service

DURATION_S = float(os.environ.get("FIRSTCLICK_SOAK_S", "60"))
SHARE = 0.7
N_ITEMS, DIM = 4000, 64
PEOPLE = 500
CALLERS = 16
PARTS = 10


@pytest.mark.benchmark
@pytest.mark.timeout(DURATION_S + 300)
def test_memory_and_latency_stay_as_they_are() -> None:
    require_redis()
    result = in_own_process("tests.benchmarks.test_soak", str(DURATION_S))
    print("\n" + "\n".join(f"{name}: {value}" for name, value in result.items()))
    assert result["statuses"] == {"200": result["requests"]}
    assert result["memory_growth"] <= 0.05
    assert result["p99_later"] <= 1.5 * result["p99_earlier"]
    assert max(result["p99_ms"]) <= 3 * np.median(result["p99_ms"])  # no tenth stands out


def _requests(key: str) -> Callable[[int], bytes]:
    events = [{"item_id": str(100 + 7 * n), "value": 1 + n % 5} for n in range(20)]
    slate = request("/v1/recommend", key, {"events": events, "k": 20})

    def of(number: int) -> bytes:
        user_id = f"u{number // 10 % PEOPLE}"
        if number % 10 == 0:
            event = {"user_id": user_id, "item_id": str(100 + number % N_ITEMS), "event_id": f"e{number}"}
            return request("/v1/events", key, [event])
        return request("/v1/recommend", key, {"user_id": user_id, "k": 20}) if number % 10 == 1 else slate

    return of


def _measure(service: Shipped, duration_s: float) -> dict[str, Any]:
    requests = _requests(service.key)
    call(service.url, requests, min(20.0, duration_s / 3), CALLERS)  # warm up
    capacity_s = min(15.0, duration_s / 3)
    capacity = len(call(service.url, requests, capacity_s, CALLERS).taken) / capacity_s
    memory: list[float] = []
    stop = threading.Event()
    watch = threading.Thread(target=_watch, args=(memory, stop, duration_s / (6 * PARTS)))
    watch.start()
    answers = call(service.url, requests, duration_s, 4 * CALLERS, SHARE * capacity)
    stop.set()
    watch.join()
    return {"capacity_per_s": round(capacity), **_summary(answers, np.array(memory), duration_s)}


def _summary(answers: Answers, memory: np.ndarray, duration_s: float) -> dict[str, Any]:
    due, took = np.array(answers.taken).T
    part = np.minimum(due / duration_s * PARTS, PARTS - 1).astype(int)
    p50, p99 = ([float(np.percentile(took[part == n] * 1000, q)) for n in range(PARTS)] for q in (50, 99))
    first, last = memory[: len(memory) // PARTS].mean(), memory[-len(memory) // PARTS :].mean()
    return {
        "requests": len(took),
        "statuses": {str(status): count for status, count in answers.statuses.items()},
        "p50_ms": [round(value, 2) for value in p50],
        "p99_ms": [round(value, 2) for value in p99],
        "p99_earlier": float(np.median(p99[: PARTS // 2])),
        "p99_later": float(np.median(p99[PARTS // 2 :])),
        "memory_mb": [round(float(piece.mean())) for piece in np.array_split(memory, PARTS)],
        "memory_growth": round(float(last / first - 1), 4),
    }


def _watch(memory: list[float], stop: threading.Event, pause_s: float) -> None:
    while not stop.wait(pause_s):
        memory.append(_serving_mb())


def _serving_mb() -> float:
    """What replicas, controller and proxies hold."""
    mine = descendants(os.getpid())
    return sum(_resident_mb(pid) for pid in titled("ray::", mine) | titled("haproxy", mine))


def _resident_mb(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return 0.0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, shipped_service(Path(folder), N_ITEMS, DIM) as shipped:
        time.sleep(2)
        result = _measure(shipped, float(sys.argv[1]))
    print(json.dumps(result))
