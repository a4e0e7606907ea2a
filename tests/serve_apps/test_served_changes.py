"""Models that change, a replica and a Redis that die, under load: no request and no kept event is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import ray
from ray import serve
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema

from engine import Recommender
from serve_apps.client import Client
from serve_apps.local import APP_NAME
from tests.redis_server import RedisServer
from tests.serve_apps.conftest import Served
from tests.serve_apps.load import Account, assert_some_are_refused, steady_load
from tests.serve_apps.test_telemetry import dashboard_metrics

pytestmark = [
    pytest.mark.ray,
    # Ten seconds, the default, would be long for a test; what takes its place holds for a whole cluster.
    pytest.mark.filterwarnings("ignore:The `metrics_interval_s` field:DeprecationWarning"),
]

SECOND = "with-redis"
WHO = "somebody@example.org"
SCALING = {
    "min_replicas": 1,
    "max_replicas": 2,
    "metrics_interval_s": 0.5,
    "look_back_period_s": 2,
    "upscale_delay_s": 1,
    "downscale_delay_s": 2,
}


def wait_until(happens: Callable[[], Any], timeout_s: float = 100) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (value := happens()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
    return value


def replica_pids(app: str = APP_NAME) -> list[int]:
    details = _get_global_client().get_serve_details()["applications"][app]["deployments"]
    replicas = details["Recommendations"]["replicas"]
    return [replica["pid"] for replica in replicas if replica["state"] == "RUNNING"]


def assert_nothing_lost(account: Account, client: Client, at_least: int = 20) -> None:
    assert account.lost == []
    assert account.requests >= at_least
    for user_id, kept in account.acknowledged.items():
        assert [event.event_id for event in client.user_events(user_id).events] == kept


@pytest.fixture(scope="module")
def admin(served: Served) -> Iterator[Client]:
    with Client(served.url, served.key) as client:
        yield client


def test_promotion_canary_and_rollback_under_load_lose_nothing(served: Served, admin: Client) -> None:
    """Callers do not try again; replicas are not restarted."""
    first, second, third = served.versions
    pids = replica_pids()

    def answers_only(version: str) -> bool:
        return {admin.recommend(user_id=f"u{n}").model_version for n in range(12)} == {version}

    with steady_load(served.url, served.key, "roll-out") as account:
        served.registry.promote(second)
        wait_until(lambda: answers_only(second))
        admin.roll_out(live=second, canary={"version": third, "share": 1.0})
        wait_until(lambda: answers_only(third))
        served.registry.rollback()
        served.registry.set_canary(None)
        wait_until(lambda: answers_only(first))
    assert_nothing_lost(account, admin)
    assert account.versions == {first, second, third}
    assert replica_pids() == pids


def test_metrics_of_all_replicas_are_on_one_page(http: httpx.Client) -> None:
    """All that the dashboard asks for is there, and every phase."""
    http.post("/v1/recommend", json={"user_id": WHO, "events": [{"item_id": "nope"}]})
    assert http.get(f"/v1/users/{WHO}/events").status_code == 200

    def missing() -> set[str]:
        page = http.get("/metrics").text
        assert "somebody" not in page, "no id of a person"
        phases = {f'phase="{phase}"' for phase in ("parse", "store", "adapt", "score", "top_k")}
        return {name for name in dashboard_metrics() | phases if name not in page}

    wait_until(lambda: not missing(), 40)


def test_no_log_holds_an_id_of_a_person(http: httpx.Client) -> None:
    """Serve's own access log, which spells paths out, is off; ours has their patterns."""
    assert http.get(f"/v1/users/{WHO}/events").status_code == 200
    folder = Path(ray._private.worker.global_worker.node.get_session_dir_path()) / "logs" / "serve"

    def ours() -> str:
        return "".join(path.read_text() for path in folder.glob("access_replica_*"))

    wait_until(lambda: '"path":"/v1/users/{user_id}/events"' in ours())
    assert [path.name for path in folder.iterdir() if path.is_file() and WHO in path.read_text()] == []


def test_a_killed_replica_loses_no_acknowledged_event(served: Served, admin: Client) -> None:
    """Callers try again, as the client does by itself."""
    with steady_load(served.url, served.key, "kill", attempts=8) as account:
        wait_until(lambda: account.requests > 10)
        victim = replica_pids()[0]
        os.kill(victim, signal.SIGKILL)
        seen = account.requests
        wait_until(lambda: account.requests > seen + 40)
        wait_until(lambda: len(replica_pids()) == 2 and victim not in replica_pids())
    assert_nothing_lost(account, admin)


@pytest.fixture(scope="module")
def second_app(served: Served, redis_server: RedisServer) -> Iterator[Callable[..., None]]:
    """Deploys a second application beside the first by a Serve config, as ``serve deploy`` does; call it
    again with another ``user_config`` to change that."""

    def deploy(user_config: dict[str, Any], target_ongoing_requests: float = 100, **deployment: Any) -> None:
        scaling = SCALING | {"target_ongoing_requests": target_ongoing_requests}
        options = {"user_config": user_config, "autoscaling_config": scaling, **deployment}
        application = {
            "name": SECOND,
            "route_prefix": "/second",
            "import_path": "serve_apps.app:build_app",
            "args": {
                "registry": str(served.registry.folder),
                "event_store": redis_server.address,
                "num_cpus": 0,
            },
            "deployments": [{"name": "Recommendations", "ray_actor_options": {"num_cpus": 0}} | options],
        }
        config = ServeDeploySchema.model_validate({"applications": [application]})
        _get_global_client().deploy_apps(config, _blocking=True)

    yield deploy
    serve.delete(SECOND)


def test_user_config_changes_the_model_in_place_and_a_broken_one_is_refused(
    served: Served, second_app: Callable[..., None], artifacts: list[str], redis_server: RedisServer
) -> None:
    """With Redis as event store, which is then killed and started again under load."""
    first, second, _ = served.versions
    url = f"{served.url}/second"
    second_app({"live": first})
    pids = replica_pids(SECOND)
    with Client(url) as client, steady_load(url, None, "redis", attempts=8) as account:
        wait_until(lambda: client.recommend().model_version == first)
        second_app({"live": second})
        wait_until(lambda: client.recommend().model_version == second)
        second_app({"live": "no such version"})
        refused = wait_until(lambda: client.models().refused)
        assert "no version 'no such version'" in refused
        assert client.models().pinned
        redis_server.kill()
        time.sleep(0.3)
        redis_server.start()
        seen = account.requests
        wait_until(lambda: account.requests > seen + 20)
    with Client(url) as client:
        assert_nothing_lost(account, client)
        assert second in account.versions <= {first, second}  # how soon depends on the machine
        assert replica_pids(SECOND) == pids
        here = Recommender.load(artifacts[1]).recommend([{"item_id": "103", "value": 5}] * 3, k=4)
        client.add_events([{"user_id": "three", "item_id": "103", "value": 5}] * 3)
        answer = client.recommend(user_id="three", k=4)
        assert [(i.item_id, i.score) for i in answer.items] == [(i.item_id, i.score) for i in here]


def test_replicas_come_and_go_with_the_load(served: Served, second_app: Callable[..., None]) -> None:
    """Callers do not try again while the second replica goes."""
    url = f"{served.url}/second"
    second_app({"live": served.versions[0]}, target_ongoing_requests=1)
    assert len(replica_pids(SECOND)) == 1
    with steady_load(url, None, "many", callers=16, attempts=8) as many:
        wait_until(lambda: len(replica_pids(SECOND)) == 2)
    with steady_load(url, None, "one", callers=1) as one:
        wait_until(lambda: len(replica_pids(SECOND)) == 1)
    with Client(url) as client:
        assert_nothing_lost(many, client)
        assert_nothing_lost(one, client)


def test_more_than_can_be_held_is_told_to_come_back(served: Served, second_app: Callable[..., None]) -> None:
    narrow = {"max_ongoing_requests": 1, "max_queued_requests": 1}
    second_app(
        {"live": served.versions[0]}, **narrow, backpressure_config={"status_code": 503, "retry_after_s": 1}
    )
    assert_some_are_refused(f"{served.url}/second")
