"""What callers lose while replicas, Redis and models come and go, behind HAProxy with the shipped settings.

Callers do not try again: every failure counts, and so does an acknowledged event that the very next answer
does not count. ``FIRSTCLICK_FAULT_ROUNDS=3`` goes through all faults three times.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.processes import left_of
from tests.redis_server import require_redis
from tests.serve_apps.shipped import Shipped, in_own_process, shipped_service, wait_until

ROUNDS = os.environ.get("FIRSTCLICK_FAULT_ROUNDS", "1")


@pytest.mark.benchmark
@pytest.mark.timeout(900 * int(ROUNDS))
def test_no_request_and_no_event_is_lost() -> None:
    require_redis()
    rounds = in_own_process("tests.benchmarks.test_serving_faults", ROUNDS)
    for faults in rounds:
        for name, result in faults.items():
            print(f"\n{name}: {result['requests']} requests, lost {result['lost']}", end="")
    print()
    assert all(result["requests"] > 50 for faults in rounds for result in faults.values())
    assert [result["lost"] for faults in rounds for result in faults.values() if result["lost"]] == []


def kill_a_replica(service: Shipped) -> None:
    victim = min(service.replica_pids())
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(service.replica_pids() - {victim}) == 2)


def kill_redis(service: Shipped) -> None:
    service.redis.kill()
    time.sleep(0.5)
    service.redis.start()


def swap(service: Shipped) -> None:
    service.registry.promote(service.versions[1])


def canary(service: Shipped) -> None:
    service.registry.set_canary(service.versions[2], 0.5)


def roll_back(service: Shipped) -> None:
    service.registry.set_canary(None)
    service.registry.rollback()


def update(service: Shipped) -> None:
    """Other arguments: every replica is replaced."""
    former = service.replica_pids()
    history = service.config["applications"][0]["args"]["history"]
    service.deploy({"history": history + 1})
    wait_until(lambda: len(service.replica_pids() - former) == 2)
    assert not left_of(former, 120)


def scale_up(service: Shipped) -> None:
    service.deploy(num_replicas=3)
    wait_until(lambda: len(service.replica_pids()) == 3)


def scale_down(service: Shipped) -> None:
    former = service.replica_pids()
    service.deploy(num_replicas=2)
    wait_until(lambda: len(service.replica_pids()) == 2)
    assert not left_of(former - service.replica_pids(), 120)


LONG = "kill -9 of a replica, long bodies"
LONG_BODY = {"candidates": [str(n) for n in range(5000)]}  # 45 kB
FAULTS: dict[str, Callable[[Shipped], None]] = {
    "kill -9 of a replica": kill_a_replica,
    LONG: kill_a_replica,
    "kill -9 of Redis": kill_redis,
    "model swap": swap,
    "canary": canary,
    "rollback": roll_back,
    "rolling update": update,
    "scale-up": scale_up,
    "scale-down": scale_down,
}


def _under_load(service: Shipped, name: str) -> dict[str, Any]:
    from serve_apps.client import Client
    from tests.serve_apps.load import steady_load

    asked = LONG_BODY if name == LONG else {}
    with steady_load(service.url, service.key, str(time.monotonic()), callers=6, **asked) as account:
        time.sleep(1)
        FAULTS[name](service)
        time.sleep(3)
    with Client(service.url, service.key) as client:
        for user_id, kept in account.acknowledged.items():
            stored = {event.event_id for event in client.user_events(user_id).events}
            missing = [event_id for event_id in kept if event_id not in stored]
            account.lost += [f"{user_id} lost {event_id}" for event_id in missing]
    print(f"{name}: {account.requests} requests, lost {account.lost}", file=sys.stderr, flush=True)
    return {"requests": account.requests, "lost": account.lost}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, shipped_service(Path(folder)) as shipped:
        rounds = [{name: _under_load(shipped, name) for name in FAULTS} for _ in range(int(sys.argv[1]))]
    print(json.dumps(rounds))
