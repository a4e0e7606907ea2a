"""A recommender small enough to check by hand, a small real one, and a client that needs no server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
import torch
from fastapi import FastAPI

from engine import Recommender
from engine.artifact import Artifact, save_artifact
from engine.data.features.feature_encoder import FeatureEncoder
from engine.data.signals import build_signals
from engine.errors import RequestError
from engine.learning.evidence import Evidence
from engine.learning.inner_loop import ClosedForm
from engine.learning.items import ItemRepresentation
from engine.learning.meta import MetaModel
from engine.learning.objectives import Ranking
from engine.learning.prior import UserPrior
from engine.ranking.neighbours import nearest
from serve_apps.event_store import open_store
from serve_apps.ingress import create_app
from serve_apps.local import Server, serving
from serve_apps.model_registry import ModelRegistry
from serve_apps.models import Models, only
from serve_apps.security.api_keys import Scope, create_key
from serve_apps.served_model import ServedModel
from serve_apps.service import Service
from tests.ports import free_port
from tests.redis_server import RedisServer, require_redis
from tests.serve_apps.shipped import Callers, served_elsewhere


class CountingRecommender:
    """Scores an item by the number of events one row above it in the catalogue, plus a share for being early.

    Why so: the slate for given events can be told by counting on one's fingers, depends on every event (so a
    test sees whether events arrive), has no ties, and leaving out one event changes one item's score by
    exactly the event's value, which is what the reasons must say.
    """

    item_ids = ["1", "2", "3", "4", "5", "six"]  # noqa: RUF012 - as in the recommender it stands for
    titles = [  # noqa: RUF012
        "Toy Story (1995)",
        "Star Wars (1977)",
        "Amélie (2001)",
        "Men in Black: Star (1997)",
        "Rockstar (2001)",
        "",
    ]
    catalogue = pa.table({"item_id": item_ids, "title": titles, "year": [1995, 1977, 2001, 1997, 2001, None]})
    signals = build_signals("rating", np.arange(1.0, 6.0), np.full(5, 10), ["LIKE", "VIEW"])
    wanted = np.array([False, False, False, True, True, True, False])
    popularity = np.array([3, 5, 1, 2, 4, 0], np.float32)
    knows_uncertainty = False
    recall, searches_together = 1.0, False
    manifest = {"version": "1", "quality": {"ndcg@10": 0.4, "auc": float("nan")}}  # noqa: RUF012
    version = "abc123"

    def recommend(
        self,
        events: Sequence[Mapping[str, Any]],
        user: Mapping[str, Any] | None = None,
        k: int = 10,
        exclude_seen: bool = True,
        explain: bool = False,
        candidates: Sequence[str] | None = None,
        **options: Any,
    ) -> SimpleNamespace:
        self.options = options  # what they do is tested on a real recommender
        self.check(events)
        if user and user.get("fail"):
            raise ZeroDivisionError("a secret of the engine")
        known = [e for e in events if e["item_id"] in self.item_ids]
        seen = {e["item_id"] for e in known}
        wanted = [
            i
            for i in self.item_ids
            if (candidates is None or i in candidates) and not (exclude_seen and i in seen)
        ]
        scores = {i: self._score(i, known) for i in wanted}
        best = sorted(wanted, key=lambda i: -scores[i])[:k]
        return SimpleNamespace(
            items=tuple(
                SimpleNamespace(
                    item_id=i,
                    score=scores[i],
                    prediction=None,
                    uncertainty=None,
                    because=self._because(i, known, wanted) if explain else (),
                )
                for i in best
            ),
            shots=len(known),
            ignored=tuple(
                SimpleNamespace(item_id=e["item_id"], reason="unknown item")
                for e in events
                if e["item_id"] not in self.item_ids
            ),
            unknown_candidates=tuple(i for i in candidates or () if i not in self.item_ids),
            unknown_features=tuple(sorted(set(user or ()) - {"age", "fail"})),
        )

    def rivals(self, events: Sequence[Mapping[str, Any]], k: int) -> dict[str, list[str]]:
        self.check(events)
        seen = {event["item_id"] for event in events}
        return {"popularity": [i for i in ("2", "5", "1", "4", "3", "six") if i not in seen][:k]}

    def check(self, events: Sequence[Mapping[str, Any]]) -> None:
        for place, event in enumerate(events):
            if event.get("event") == "UNKNOWN":
                raise RequestError(
                    "unknown event 'UNKNOWN'", where=f"events[{place}].event", fix="Known: VIEW, LIKE."
                )

    def _score(self, item_id: str, events: Sequence[Mapping[str, Any]]) -> float:
        row = self.item_ids.index(item_id)
        above = self.item_ids[row - 1] if row else None
        return sum(e.get("value", 1.0) for e in events if e["item_id"] == above) + (6 - row) / 100

    def _because(
        self, item_id: str, events: Sequence[Mapping[str, Any]], wanted: Sequence[str]
    ) -> tuple[Any, ...]:
        reasons = []
        for left_out, event in enumerate(events):
            rest = [e for at, e in enumerate(events) if at != left_out]
            score = self._score(item_id, rest)
            change = self._score(item_id, events) - score
            rank = 1 + sum(self._score(other, rest) > score for other in wanted)
            if change:
                reasons.append(
                    SimpleNamespace(item_id=event["item_id"], score_change=change, rank_without=rank)
                )
        return tuple(reasons)


@dataclass(frozen=True)
class Served:
    """The application on Ray Serve: two replicas, a registry, an event store, API keys."""

    server: Server
    registry: ModelRegistry
    versions: list[str]
    key: str

    @property
    def url(self) -> str:
        return self.server.url


@pytest.fixture(scope="session")
def served(
    ray_cluster: Any, artifacts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """One for all tests that need Serve, which takes its time to start. The first version is live."""
    folder = tmp_path_factory.mktemp("serving")
    registry = ModelRegistry(folder / "registry")
    versions = [registry.add(Path(artifact)) for artifact in artifacts]
    registry.promote(versions[0])
    _, key = create_key(folder / "keys.json", "tests", Scope.ADMIN)
    options = {
        "registry": str(registry.folder),
        "event_store": str(folder / "events.sqlite"),
        "api_keys": str(folder / "keys.json"),
        "num_replicas": 2,
    }
    with serving(port=free_port(), **options) as server:
        yield Served(server, registry, versions, key)


@pytest.fixture(scope="session")
def behind_haproxy() -> Iterator[Callers]:
    """The shipped configuration; its first version is the first of ``artifacts``."""
    require_redis()
    with served_elsewhere() as callers:
        yield callers


@pytest.fixture(scope="session")
def http(served: Served) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {served.key}"}
    with httpx.Client(base_url=served.url, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


SEEDS = (5, 6, 7)
ABOUT: dict[str, Any] = {"config": {}, "dataset": {}, "quality": {}}  # what a manifest must have


@dataclass(frozen=True)
class Client:
    """Calls an ASGI application in this process, one event loop a call."""

    app: FastAPI
    root_path: str = ""

    def __call__(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, root_path=self.root_path)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def recommend(self, **body: Any) -> httpx.Response:
        return self("POST", "/v1/recommend", json=body)


def unloaded_models() -> Models:
    return Models(Recommender.load, Path("nowhere"))


def models_of(recommender: Any) -> Models:
    models = unloaded_models()
    models.stage = only(ServedModel(recommender))
    return models


@pytest.fixture
def recommender() -> CountingRecommender:
    return CountingRecommender()


@pytest.fixture
def service(recommender: CountingRecommender, tmp_path: Path) -> Iterator[Service]:
    store = open_store(str(tmp_path / "events.sqlite"))
    yield Service(models_of(recommender), store)
    asyncio.run(store.close())


@pytest.fixture
def client(service: Service) -> Client:
    return Client(create_app(service))


@pytest.fixture(scope="session")
def real(real_artifact: str) -> Recommender:
    return Recommender.load(real_artifact)


@pytest.fixture
def real_client(real: Recommender) -> Client:
    """The paths with a real recommender behind them."""
    return Client(create_app(Service(models_of(real))))


@pytest.fixture
def client_without_model() -> Client:
    return Client(create_app(Service(unloaded_models())))


@pytest.fixture(scope="session")
def real_artifact(artifacts: list[str]) -> str:
    """The first of them."""
    return artifacts[0]


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three versions of a model."""
    folder = tmp_path_factory.mktemp("served")
    return [drawn_artifact(folder / f"artifact-{seed}", seed) for seed in SEEDS]


def drawn_artifact(folder: Path, seed: int, n_items: int = 40, dim: int = 8) -> str:
    """An artifact of films as training would leave it, except that its weights are drawn, not learned."""
    draw = torch.Generator().manual_seed(seed)
    items = pa.table(
        {
            "item_id": [str(100 + row) for row in range(n_items)],
            "title": [f"Film {row}" for row in range(n_items)],
            "genre": ["comedy" if row % 2 else "drama" for row in range(n_items)],
        }
    )
    users = pa.table({"user_id": ["a", "b", "c"], "age": [20.0, 35.0, 50.0]})
    signals = build_signals("rating", np.arange(1.0, 6.0), np.full(5, 10), ["LIKE"])
    item_encoder = FeatureEncoder.fit(items, {"genre": "category"})
    user_encoder = FeatureEncoder.fit(users, {"age": "number"})
    prior = UserPrior(dim, user_encoder.n_features, precision=2.0, unseen=5.0)
    torch.nn.init.normal_(prior.from_features_FD, generator=draw)
    model = MetaModel(
        ItemRepresentation.start(
            torch.randn(n_items, dim, generator=draw),
            torch.randn(n_items, generator=draw),
            torch.ones(n_items, dtype=torch.bool),
            torch.from_numpy(item_encoder.transform(items)),
        ),
        prior,
        Evidence(torch.linspace(-1, 1, len(signals)), precision=1.0),
        ClosedForm("gaussian"),
        Ranking(),
        scale=1.0,
    )
    weight_CC = torch.rand(40, 40, generator=draw).numpy()
    neighbours = nearest(weight_CC, np.arange(40), most=10)
    save_artifact(
        Artifact(model, items, signals, 0, item_encoder, user_encoder, ABOUT, neighbours=neighbours), folder
    )
    return str(folder)
