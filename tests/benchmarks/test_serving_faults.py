"""What callers lose while replicas die and models change, behind HAProxy with the shipped settings.

Callers do not try again: every failure counts. HAProxy is chosen by the environment before Ray is imported,
so this runs in a process of its own; nothing else on the machine may serve through HAProxy meanwhile.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]
SHIPPED = {
    "RAY_worker_niceness": "0",
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
    "RAY_SERVE_HAPROXY_LOG_TARGET": "127.0.0.1:9",
    "OMP_NUM_THREADS": "1",
}


@pytest.mark.benchmark
@pytest.mark.timeout(600)
def test_no_request_and_no_event_is_lost() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.test_serving_faults"]
    done = subprocess.run(
        command, cwd=PROJECT, env=os.environ | SHIPPED, check=True, stdout=subprocess.PIPE, text=True
    )
    account = json.loads(done.stdout.splitlines()[-1])
    print(f"\n{account}")
    assert account["lost"] == []
    assert account["missing_events"] == 0


def _measure(folder: Path) -> dict[str, Any]:
    from serve_apps.client import Client
    from serve_apps.local import serving
    from serve_apps.model_registry import ModelRegistry
    from tests.redis_server import free_port
    from tests.serve_apps.conftest import drawn_artifact
    from tests.serve_apps.load import steady_load

    registry = ModelRegistry(folder / "registry")
    first, second, third = (registry.add(Path(drawn_artifact(folder / f"a{n}", n))) for n in range(3))
    registry.promote(first)
    store = str(folder / "events.sqlite")
    with (
        serving(registry=str(registry.folder), event_store=store, num_replicas=2, port=free_port()) as server,
        Client(server.url) as client,
    ):
        time.sleep(3)
        with steady_load(server.url, None, "user", callers=6) as account:
            time.sleep(2)
            registry.promote(second)
            time.sleep(3)
            registry.set_canary(third, 0.5)
            time.sleep(3)
            registry.rollback()
            time.sleep(3)
            for _ in range(2):
                os.kill(_running_pids()[0], signal.SIGKILL)
                time.sleep(25)
        kept = {user: client.user_events(user).events for user in account.acknowledged}
    missing = sum(
        len(set(acknowledged) - {event.event_id for event in kept[user]})
        for user, acknowledged in account.acknowledged.items()
    )
    return {
        "requests": account.requests,
        "lost": account.lost,
        "missing_events": missing,
        "versions": len(account.versions),
    }


def _running_pids() -> list[int]:
    from ray.serve.context import _get_global_client

    details = _get_global_client().get_serve_details()["applications"]["firstclick"]
    replicas = details["deployments"]["Recommendations"]["replicas"]
    return [replica["pid"] for replica in replicas if replica["state"] == "RUNNING"]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(_measure(Path(folder))))
