"""The real application, two replicas on Ray Serve's default proxy, called over HTTP."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from ray import serve

from engine import Recommender
from engine.errors import ArtifactError, ConfigError, FirstclickError
from serve_apps import local
from serve_apps.app import build_app
from serve_apps.local import serving
from serve_apps.people import History
from serve_apps.requests import RecommendRequest
from serve_apps.served_model import ServedModel
from tests.ports import free_port
from tests.serve_apps.conftest import Served

pytestmark = pytest.mark.ray

REQUEST = {
    "events": [
        {"item_id": 103, "value": 5, "timestamp": 1_700_000_000},
        {"item_id": "117", "value": 1, "timestamp": 1_700_000_100.5},
        {"item_id": "999", "event": "LIKE"},
        {"item_id": "121", "event": "LIKE"},
    ],
    "user": {"age": 31},
    "k": 7,
    "explain": True,
}


def test_a_replica_that_cannot_start_is_reported_with_its_own_words(
    ray_cluster: Any, real_artifact: str
) -> None:
    """Comes first: Serve must not be running yet. The loader fails in every process but this one."""
    here = os.getpid()

    def loader(folder: str) -> Recommender:
        if os.getpid() != here:
            raise OSError("the disk is on fire")
        return Recommender.load(folder)

    failing = serving(real_artifact, port=free_port(), loader=loader)
    with pytest.raises(FirstclickError, match=r"did not start: .*the disk is on fire"), failing:
        pytest.fail("served without a model")


def test_a_port_that_is_taken_in_the_last_moment_is_named_and_serve_ends(
    ray_cluster: Any, real_artifact: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comes before Serve runs for the other tests."""
    monkeypatch.setattr(local, "_check_port_free", lambda host, port: None)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port := free_port()))
        other.listen()
        taken = f"cannot listen on 127.0.0.1:{port}"
        with pytest.raises(ConfigError, match=taken), serving(real_artifact, port=port):
            pytest.fail("served on a port that is taken")
    assert not serve.status().proxies


def in_process(real: Recommender, body: dict[str, Any]) -> dict[str, Any]:
    request = RecommendRequest.model_validate(body)
    history = History([], list(request.events))
    answer = ServedModel(real).recommend(request, history).model_dump(mode="json", exclude_none=True)
    del answer["latency_ms"]
    return answer


def test_served_answer_equals_the_in_process_answer(http: httpx.Client, real: Recommender) -> None:
    answer = http.post("/v1/recommend", json=REQUEST)
    assert answer.status_code == 200
    served = answer.json()
    del served["latency_ms"]
    assert served == in_process(real, REQUEST)
    assert served["ignored_events"][0]["item_id"] == "999"
    assert all(len(item["because"]) > 0 for item in served["items"])


def plain(n: int) -> dict[str, Any]:
    """The n-th person's request: events, answers wanted and what is left out differ."""
    events = [{"item_id": str(101 + (7 * n + i) % 20), "value": 1 + (n + i) % 5} for i in range(n % 9)]
    return {"events": events, "k": 1 + n % 12, "exclude_seen": n % 3 > 0}


def assert_many_at_once_are_answered_as_alone(url: str, key: str, real: Recommender) -> None:
    """Each its own answer, whoever is answered with it; one does not fit, and that is its own."""

    async def all_at_once(bodies: list[dict[str, Any]]) -> list[httpx.Response]:
        headers = {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
            return await asyncio.gather(*(client.post("/v1/recommend", json=body) for body in bodies))

    bodies = [plain(n) for n in range(48)]
    wrong = {"events": [{"item_id": "103", "event": "never heard of"}]}
    *answers, refused = asyncio.run(all_at_once([*bodies, wrong]))
    for body, answer in zip(bodies, answers, strict=True):
        told = answer.json()
        del told["latency_ms"]
        assert told == in_process(real, body)
    assert refused.status_code == 422


def test_many_at_once_get_the_answers_of_one_alone(
    served: Served, real: Recommender, real_artifact: str, tmp_path: Path
) -> None:
    """On the event loop, and in a thread, together."""
    assert_many_at_once_are_answered_as_alone(served.url, served.key, real)
    store = str(tmp_path / "events.sqlite")
    app = build_app({"artifact": real_artifact, "event_store": store, "inline_ms": 0, "num_cpus": 0})
    serve.run(app, name="together", route_prefix="/together")
    try:
        assert_many_at_once_are_answered_as_alone(f"{served.url}/together", served.key, real)
    finally:
        serve.delete("together")


def test_stored_events_give_the_same_answer_from_every_replica(http: httpx.Client, real: Recommender) -> None:
    """Read-your-writes across two replicas; then deletion, after which the person is a stranger."""
    events = [{"user_id": "reader", **event} for event in REQUEST["events"]]
    assert http.post("/v1/events", json=events).status_code == 200
    body = {"user_id": "reader", "user": {"age": 31}, "k": 7}
    expected = in_process(real, body | {"events": REQUEST["events"]})
    for _ in range(8):
        answer = http.post("/v1/recommend", json=body).json()
        del answer["latency_ms"]
        assert answer == expected
    assert http.delete("/v1/users/reader").json()["events"] == 4
    for _ in range(8):
        answer = http.post("/v1/recommend", json=body).json()
        del answer["latency_ms"]
        assert answer == in_process(real, body)
        assert http.get("/v1/users/reader/events").json()["events"] == []


def test_without_a_key_only_status_is_answered(served: Served) -> None:
    assert httpx.get(f"{served.url}/readyz").status_code == 200
    answer = httpx.post(f"{served.url}/v1/recommend", json=REQUEST)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


def test_items_model_and_status(http: httpx.Client, real: Recommender) -> None:
    version = real.version
    assert http.get("/readyz").json() == {"status": "ready", "model_version": version}
    assert http.get("/healthz").json() == {"status": "ok"}
    assert http.get("/v1/model").json()["n_items"] == 40
    found = http.get("/v1/items", params={"query": "film 3", "limit": 2}).json()["items"]
    assert found == [{"item_id": "103", "title": "Film 3"}, {"item_id": "130", "title": "Film 30"}]
    assert http.get("/openapi.json").json()["info"]["title"] == "firstclick"
    assert "playground/main.js" in http.get("/").text
    assert http.get("/playground/main.js").headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "/v1/recommend", b'{"k": 0}', 422, "#/k"),
        ("POST", "/v1/recommend", b'{"k": "ten"}', 422, "#/k"),
        ("POST", "/v1/recommend", b'{"kay": 5}', 422, "#/kay"),
        ("POST", "/v1/recommend", b'{"events": [{"item_id": "103", "value": 99}]}', 422, "99"),
        ("POST", "/v1/recommend", b'{"events": [{"item_id": "103", "event": "SNEEZE"}]}', 422, "SNEEZE"),
        ("POST", "/v1/recommend", b'{"k": ', 400, "not valid JSON"),
        ("POST", "/v1/recommend", b'{"k": "\xff"}', 400, "not valid JSON"),
        ("POST", "/v1/recommend", b"[" * 100_000, 400, "not valid JSON"),
        ("POST", "/v1/recommend", b" " * (10 << 20), 413, "1048576 bytes"),
        ("GET", "/v1/items?limit=0", b"", 422, "limit"),
        ("GET", "/v1/nothing", b"", 404, "/v1/nothing"),
        ("DELETE", "/v1/recommend", b"", 405, "DELETE"),
    ],
    ids=lambda value: repr(value[:30]) if isinstance(value, bytes) else None,
)
def test_bad_input_is_one_clear_problem(
    http: httpx.Client, method: str, path: str, body: bytes, status: int, says: str
) -> None:
    answer = http.request(method, path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert says in answer.json()["detail"]


def test_a_chunked_body_over_the_limit_is_refused(http: httpx.Client) -> None:
    pieces = (b" " * 65536 for _ in range(160))
    answer = http.post("/v1/recommend", content=pieces, headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_a_second_server_is_refused_and_the_first_goes_on(served: Served, real_artifact: str) -> None:
    server = served.server
    taken = f"cannot listen on 127.0.0.1:{server.port}"
    with pytest.raises(ConfigError, match=taken), serving(real_artifact, port=server.port):
        pytest.fail("two servers on one port")
    running = "already runs on this cluster"
    with pytest.raises(ConfigError, match=running), serving(real_artifact, port=free_port()):
        pytest.fail("two Serve instances on one cluster")
    assert serve.status().applications["firstclick"].status == "RUNNING"


def test_a_broken_artifact_is_refused_before_anything_starts(real_artifact: str, tmp_path: Path) -> None:
    broken = tmp_path / "artifact"
    broken.mkdir()
    for file in Path(real_artifact).iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "weights.safetensors").write_bytes(b"not weights")
    with pytest.raises(ArtifactError, match=r"weights\.safetensors"), serving(str(broken), port=free_port()):
        pytest.fail("served a broken artifact")
