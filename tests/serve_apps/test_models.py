"""Models that change under way, and the admin paths that change them. Without a server."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from engine import Recommender
from serve_apps.ingress import create_app
from serve_apps.model_registry import ModelRegistry
from serve_apps.models import Models
from serve_apps.people import History
from serve_apps.requests import RecommendRequest
from serve_apps.roll_out import Canary, RollOut
from serve_apps.served_model import ServedModel
from serve_apps.service import Service
from serve_apps.shadow import Shadow
from tests.serve_apps.conftest import Client


@pytest.fixture
def registry(tmp_path: Path, artifacts: list[str]) -> ModelRegistry:
    registry = ModelRegistry(tmp_path / "registry")
    for artifact in artifacts:
        registry.add(Path(artifact))
    return registry


@pytest.fixture
def versions(artifacts: list[str]) -> list[str]:
    return [Recommender.load(artifact).version for artifact in artifacts]


@pytest.fixture
def models(registry: ModelRegistry, versions: list[str]) -> Models:
    registry.promote(versions[0])
    models = Models(Recommender.load, registry=registry)
    models.start()
    return models


@pytest.fixture
def admin(models: Models) -> Client:
    return Client(create_app(Service(models)))


def answering(client: Client, user_id: str = "u") -> str:
    return client.recommend(user_id=user_id).json()["model_version"]


def test_a_change_is_followed_and_unchanged_models_are_kept(models, registry, versions) -> None:
    _, b, _ = versions
    served = models.stage.answering(None)
    registry.set_canary(b, 1.0)
    asyncio.run(models.refresh())
    assert (models.stage.answering("u").version, models.stage.answering(None)) == (b, served)
    asyncio.run(models.refresh())
    registry.promote(b)
    asyncio.run(models.refresh())
    assert list(models.stage.models) == [b]


def test_who_makes_a_change_is_told_of_it_though_the_watch_has_seen_it_first(registry, versions) -> None:
    a, b, _ = versions
    registry.promote(a)
    begun, go_on = threading.Event(), threading.Event()

    def loader(folder: str) -> Recommender:
        begun.set()
        assert go_on.wait(10)
        return Recommender.load(folder)

    async def change() -> str:
        watch = asyncio.create_task(models.refresh())  # as `watch` does, before the change's own
        await asyncio.to_thread(begun.wait, 10)
        asyncio.get_running_loop().call_later(0.1, go_on.set)
        await models.refresh()
        live = models.stage.roll_out.live
        await watch
        return live

    models = Models(loader, registry=registry)
    go_on.set()
    models.start()
    begun.clear(), go_on.clear()
    registry.promote(b)
    assert asyncio.run(change()) == b


def test_a_change_that_cannot_be_loaded_is_refused_and_the_next_one_is_not(
    registry, versions, caplog
) -> None:
    a, b, c = versions
    registry.promote(a)

    def loader(folder: str) -> Recommender:
        if folder.endswith(b):
            raise OSError("the disk is on fire")
        return Recommender.load(folder)

    models = Models(loader, registry=registry)
    models.start()
    registry.promote(b)
    asyncio.run(models.refresh())
    assert (models.stage.answering(None).version, models.refused) == (a, "the disk is on fire")
    assert "the disk is on fire" in caplog.text
    registry.promote(c)
    asyncio.run(models.refresh())
    assert (models.stage.answering(None).version, models.refused) == (c, None)


def test_an_unreadable_roll_out_changes_nothing(models, registry, versions) -> None:
    (registry.folder / "roll_out.json").write_text("{")
    asyncio.run(models.refresh())
    assert models.stage.answering(None).version == versions[0]
    assert "cannot be read" in models.refused


def test_a_registry_with_nothing_live_is_not_ready_until_something_is(registry, versions) -> None:
    models = Models(Recommender.load, registry=registry)
    models.start()
    client = Client(create_app(Service(models)))
    assert client("GET", "/readyz").status_code == 503
    registry.promote(versions[1])
    asyncio.run(models.refresh())
    assert client("GET", "/readyz").json()["model_version"] == versions[1]


def test_a_pinned_roll_out_wins_over_the_registry(admin, models, registry, versions) -> None:
    _, b, c = versions
    asyncio.run(models.pin(RollOut(live=b)))
    registry.promote(c)
    asyncio.run(models.refresh())
    assert answering(admin) == b
    answer = admin("POST", "/v1/models/rollback")
    assert answer.status_code == 409
    assert "user_config" in answer.json()["detail"]
    assert admin("GET", "/v1/models").json()["pinned"] is True


def test_the_admin_paths_roll_out_and_back(admin, versions) -> None:
    a, b, c = versions
    roll_out = {"live": a, "canary": {"version": b, "share": 1.0}, "shadow": c}
    answer = admin("PUT", "/v1/models/roll-out", json=roll_out)
    assert answer.status_code == 200
    assert answer.json()["in_use"] == roll_out
    assert {info["model_version"] for info in answer.json()["versions"]} == set(versions)
    assert answering(admin) == b
    admin("PUT", "/v1/models/roll-out", json={"live": c})
    assert answering(admin) == c
    assert admin("POST", "/v1/models/rollback").json()["in_use"] == {"live": a}
    assert answering(admin) == a


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"live": "nope"}, 409),
        ({"live": "../../etc"}, 409),
        ({}, 422),
        ({"live": "a", "shadow": "a"}, 422),
        ({"live": "a", "canary": {"version": "b", "share": 2}}, 422),
        ({"live": "a", "canary": {"version": "b", "share": "0.5"}}, 422),
    ],
)
def test_a_wrong_roll_out_is_refused_and_nothing_changes(admin, versions, body: Any, status: int) -> None:
    answer = admin("PUT", "/v1/models/roll-out", json=body)
    assert answer.status_code == status
    assert answering(admin) == versions[0]


def test_a_broken_version_is_refused_with_the_reason(admin, registry, versions) -> None:
    (registry.artifact(versions[1]) / "weights.safetensors").write_bytes(b"broken")
    answer = admin("PUT", "/v1/models/roll-out", json={"live": versions[1]})
    assert answer.status_code == 409
    assert "weights.safetensors" in answer.json()["detail"]
    assert answering(admin) == versions[0]


def test_without_a_registry_there_is_nothing_to_roll_out(client) -> None:
    for method, path in (("GET", "/v1/models"), ("POST", "/v1/models/rollback")):
        answer = client(method, path)
        assert answer.status_code == 404
        assert "registry" in answer.json()["detail"]


def test_a_shadow_is_compared_and_never_answers(admin, models, registry, versions) -> None:
    a, b, _ = versions
    registry.set_shadow(b)
    asyncio.run(models.refresh())
    events = [{"item_id": "103", "value": 5}]
    assert answering(admin) == a
    report = wait_for(lambda: models.stage.shadow.report(), lambda report: report.compared == 1)
    slates = [
        {item.item_id for item in Recommender.load(registry.artifact(v)).recommend([], k=10)} for v in (a, b)
    ]
    assert report.overlap == len(slates[0] & slates[1]) / 10
    assert report.model_version == b
    assert admin("GET", "/v1/models").json()["shadow"]["compared"] == 1
    shadow = models.stage.shadow
    registry.set_shadow(None)
    asyncio.run(models.refresh())
    assert models.stage.shadow is None
    shadow.compare(RecommendRequest(), History([], events), None)  # closed: no error, no work
    assert shadow.report().compared == 1


def test_a_shadow_equal_to_the_model_agrees_with_it(recommender) -> None:
    model = ServedModel(recommender)
    shadow, request, history = Shadow(model), RecommendRequest(k=3), History([], [{"item_id": "3"}])
    shadow.compare(request, history, model.recommend(request, history))
    report = wait_for(shadow.report, lambda report: report.compared == 1)
    assert (report.overlap, report.same_first) == (1.0, 1.0)


def test_a_slow_or_failing_shadow_costs_callers_nothing(recommender) -> None:
    class Slow(ServedModel):
        def recommend(self, request: RecommendRequest, history: History) -> Any:
            time.sleep(0.3)
            raise ValueError("the shadow is ill")

    shadow, request = Shadow(Slow(recommender)), RecommendRequest()
    answer = ServedModel(recommender).recommend(request, History([], []))
    started = time.monotonic()
    for _ in range(5):
        shadow.compare(request, History([], []), answer)
    assert time.monotonic() - started < 0.2
    report = wait_for(shadow.report, lambda report: report.failed == 1)
    assert (report.compared, report.skipped) == (0, 4)


def wait_for(read: Any, until: Any) -> Any:
    deadline = time.monotonic() + 10
    while not until(value := read()):
        assert time.monotonic() < deadline, value
        time.sleep(0.01)
    return value


def test_a_canary_answers_the_same_people_whichever_replica_is_asked(registry, versions) -> None:
    a, b, _ = versions
    registry.promote(a)
    roll_out = registry.set_canary(b, 0.5)
    replicas = [Models(Recommender.load, registry=registry) for _ in range(2)]
    for models in replicas:
        models.start()
    users = [f"u-{n}" for n in range(20)]
    answers = [[models.stage.answering(user).version for user in users] for models in replicas]
    assert answers[0] == answers[1] == [roll_out.answering(user) for user in users]
    assert set(answers[0]) == {a, b}
    assert roll_out.canary == Canary(version=b, share=0.5)
