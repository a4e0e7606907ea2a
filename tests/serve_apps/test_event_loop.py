"""What is answered on the event loop, and what in a thread, so that it keeps nobody else waiting."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine import Recommender
from engine.learning.descent import Descent
from serve_apps.ingress import create_app
from serve_apps.model_registry import ModelRegistry
from serve_apps.models import Models, only
from serve_apps.served_model import ServedModel
from serve_apps.service import Service
from tests.serve_apps.conftest import Client, models_of
from tests.synthetic import synthetic_artifact

EVENT = {"item_id": "103", "value": 5}


def answered_here(recommender: Recommender, monkeypatch: pytest.MonkeyPatch, **body: Any) -> bool:
    """Whether a request is answered in the thread of the event loop, which is this one."""
    threads: list[int] = []
    answer = recommender.recommend

    def recommend(*args: Any, **options: Any) -> Any:
        threads.append(threading.get_ident())
        return answer(*args, **options)

    monkeypatch.setattr(recommender, "recommend", recommend)
    assert Client(create_app(Service(models_of(recommender)))).recommend(**body).status_code == 200
    return threads == [threading.get_ident()]


@pytest.mark.parametrize("body", [{"events": [EVENT]}, {"candidates": ["101"]}, {"uncertainty": True}])
def test_a_plain_request_is_answered_on_the_event_loop(real, monkeypatch, body: Any) -> None:
    assert answered_here(real, monkeypatch, **body)


@pytest.mark.parametrize(
    "body",
    [
        {"filter": {"genre": "drama"}},
        {"explain": True},
        {"explore": {"method": "thompson"}},
        {"k": 1000},
        {"candidates": [str(n) for n in range(1000)]},
        {"events": [EVENT] * 500},
    ],
    ids=lambda body: next(iter(body)),
)
def test_what_takes_longer_is_answered_in_a_thread(real, monkeypatch, body: Any) -> None:
    assert not answered_here(real, monkeypatch, **body)


def test_gradient_descent_is_answered_in_a_thread(monkeypatch) -> None:
    artifact = synthetic_artifact(50, 8)
    artifact.model.inner = Descent(
        "gaussian",
        dim=8,
        hidden=0,
        inner_lr=0.03,
        steps=2,
        second_order=False,
        learn_inner_lr=False,
        prior_pull=1.0,
    )
    assert not answered_here(Recommender(artifact), monkeypatch, k=3)


def test_manifests_are_read_in_a_thread(tmp_path: Path, artifacts: list[str], monkeypatch) -> None:
    registry = ModelRegistry(tmp_path)
    versions = [registry.add(Path(artifact)) for artifact in artifacts[:2]]
    read, threads = ModelRegistry.versions, []

    def listed(self: ModelRegistry) -> Any:
        threads.append(threading.get_ident())
        return read(self)

    monkeypatch.setattr(ModelRegistry, "versions", listed)
    registry.promote(versions[0])
    models = Models(Recommender.load, registry=registry)
    models.start()
    client = Client(create_app(Service(models)))
    assert client("GET", "/v1/models").status_code == 200
    assert client("PUT", "/v1/models/roll-out", json={"live": versions[1]}).status_code == 200
    assert len(threads) == 2
    assert threading.get_ident() not in threads


def test_where_searches_take_long_plain_requests_are_answered_in_a_thread_and_together(
    real: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first is answered others come; what cannot be answered together is answered alone."""
    batches: list[int] = []
    together = real.recommend_together

    def recommend_together(asked: Any) -> Any:
        assert threading.current_thread() is not threading.main_thread()
        batches.append(len(asked))
        time.sleep(0.1)
        return together(asked)

    async def all_at_once(bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
            answers = await asyncio.gather(*(client.post("/v1/recommend", json=body) for body in bodies))
        return [{name: value for name, value in a.json().items() if name != "latency_ms"} for a in answers]

    bodies = [{"events": [EVENT], "k": k} for k in range(1, 7)]
    explained = {"events": [EVENT], "explain": True}
    client = Client(create_app(Service(models_of(real))))
    alone = [client.recommend(**body).json() for body in (*bodies, explained)]
    monkeypatch.setattr(real, "recommend_together", recommend_together)
    models = models_of(real)
    models.stage = only(ServedModel(real, inline_ms=0.0))
    app = create_app(Service(models))
    answers = asyncio.run(all_at_once([*bodies, explained]))
    assert sum(batches) == len(bodies)
    assert len(batches) < len(bodies)
    for answer, expected in zip(answers, alone, strict=True):
        assert answer == {name: value for name, value in expected.items() if name != "latency_ms"}
