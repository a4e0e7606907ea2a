"""Searches that lead far, for popularity says nothing: what an index gains and misses, what company gains.

    [FIRSTCLICK_ITEMS=4000000] pytest --run-benchmarks -s tests/benchmarks/test_far_search.py

Random items, and items in kinds. D = 64, top 20, one thread; users like the mean of 20 items. "Full" is the
float32 product with every item and numpy's argpartition. Where popularity counts, the exact search reads a
few blocks, asks no index and needs no company (`test_recommend_speed.py`).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

import httpx
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from engine import Recommender
from engine.ranking.approximate import TARGET, ApproximateSearch
from engine.ranking.layout import laid_out
from engine.ranking.search import Aim, Tables, best
from engine.ranking.together import best_together
from serve_apps.ingress import create_app
from serve_apps.models import only
from serve_apps.served_model import ServedModel
from serve_apps.service import Service
from tests.serve_apps.conftest import models_of
from tests.synthetic import synthetic_artifact

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

N = int(os.environ.get("FIRSTCLICK_ITEMS", 1_000_000))
D, K, USERS, TURNS = 64, 20, 64, 3
CALLERS, REQUESTS = 8, 12
ALL, NONE = np.empty(0, np.bool_), np.empty(0, np.int64)
NOBODY = np.zeros(1, np.float32), np.zeros(6, np.float32), 0.0


def catalogue(kind: str, rng: np.random.Generator) -> np.ndarray:
    lengths_D = np.linspace(1.5, 0.3, D, dtype=np.float32)
    if kind == "random":
        return rng.standard_normal((N, D), np.float32) * lengths_D
    kinds = rng.standard_normal((2000, D), np.float32)
    phi_ND = rng.standard_normal((N, D), np.float32)
    phi_ND *= np.float32(0.5)
    phi_ND += kinds[rng.integers(0, len(kinds), N)]
    return phi_ND * lengths_D


def users(tables: Tables, rng: np.random.Generator) -> list[Aim]:
    liked = [tables.phi_ND[rng.integers(0, N, 20)].mean(axis=0) for _ in range(USERS)]
    return [Aim(4.0 * w_D.astype(np.float64), 1.0, *NOBODY, 0.0, np.eye(D)) for w_D in liked]


def ms(calls: dict[str, Callable[[Aim], object]], aims: list[Aim]) -> dict[str, float]:
    """A call's time by contender: they take turns, the fastest quarter counts."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for aim in aims * TURNS:
        for name, call in calls.items():
            started = time.perf_counter()
            call(aim)
            taken[name].append(1000 * (time.perf_counter() - started))
    return {name: float(np.mean(np.sort(times)[: len(times) // 4])) for name, times in taken.items()}


@pytest.fixture(scope="module", params=["random", "in kinds"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tables(kind: str) -> Tables:
    phi_ND = catalogue(kind, np.random.default_rng(0))
    return laid_out(phi_ND, np.ones(D, np.float32), np.zeros(N, np.float32), np.eye(D), None)


def test_an_index_is_faster_and_finds_most(kind: str, tables: Tables) -> None:
    rng = np.random.default_rng(1)
    with threadpool_limits(1):
        aims, n_blocks = users(tables, rng), len(tables.row_GB)
        phi_DN = np.ascontiguousarray(tables.phi_ND.T)
        began = time.perf_counter()
        search = ApproximateSearch(tables, users(tables, rng))
        built_s = time.perf_counter() - began
        wanted = [best(tables, aim, K, ALL, NONE, n_blocks)[0] for aim in aims]
        recall = np.mean(
            [np.isin(w, search(a, K, NONE)[0]).mean() for w, a in zip(wanted, aims, strict=True)]
        )
        cost = ms(
            {
                "full": lambda aim: np.argpartition(-(aim.w_D.astype(np.float32) @ phi_DN), K),
                "exact": lambda aim: best(tables, aim, K, ALL, NONE, n_blocks),
                "index": lambda aim: search(aim, K, NONE),
            },
            aims,
        )
    sketch_mb = tables.codes.code_GEB.nbytes / 1e6
    print(
        f"\n{N:,} items, {kind}: full {cost['full']:.2f} ms, exact {cost['exact']:.2f} ms, index "
        f"{cost['index']:.2f} ms, recall {recall:.3f} (at loading {search.recall:.3f}), {search.n_read} of "
        f"{search.n_lists} lists, built in {built_s:.0f} s; sketch {sketch_mb:.0f} MB, embeddings "
        f"{tables.phi_ND.nbytes / 1e6:.0f} MB"
    )
    assert cost["index"] < cost["exact"] < cost["full"]
    assert recall > TARGET - 0.03


def test_the_more_search_together_the_less_it_takes_each(kind: str, tables: Tables) -> None:
    aims, n_blocks = users(tables, np.random.default_rng(2)), len(tables.row_GB)
    print(f"\n{N:,} items, {kind}: alone over together,", end=" ")
    ratio = {}
    for company in (2, 4, 8, 16):
        groups = [aims[start : start + company] for start in range(0, USERS, company)] * TURNS
        taken: dict[str, list[float]] = {"alone": [], "together": []}
        for group in groups:
            began = time.perf_counter()
            alone = [best(tables, aim, K, ALL, NONE, n_blocks)[:2] for aim in group]
            between = time.perf_counter()
            together = best_together(tables, group, [K] * company, [NONE] * company)
            taken["alone"].append(between - began)
            taken["together"].append(time.perf_counter() - between)
            for (rows, scores), (theirs, their_scores) in zip(alone, together, strict=True):
                np.testing.assert_array_equal(rows, theirs)
                np.testing.assert_array_equal(scores, their_scores)
        ratio[company] = np.median(np.array(taken["alone"]) / np.array(taken["together"]))
        print(f"{company} users {ratio[company]:.2f}", end=" ", flush=True)
    assert ratio[8] > 1.2


def test_callers_who_wait_together_are_answered_sooner() -> None:
    """The paths of the server, in this process, eight callers: all on the event loop, or coalesced."""
    artifact = synthetic_artifact(N, D)
    artifact.model.ridge = None
    artifact.model.items.base_N.fill_(-5.0)
    recommender = Recommender(artifact)
    apps = {}
    for name, inline_ms in (("inline", 1e9), ("coalesced", 0.5)):
        models = models_of(recommender)
        models.stage = only(ServedModel(recommender, inline_ms))
        apps[name] = create_app(Service(models))
    rng = np.random.default_rng(0)
    bodies = [
        {"events": [{"item_id": f"i{row}", "value": 5} for row in rng.integers(0, N, 20)], "k": K}
        for _ in range(CALLERS)
    ]

    async def rate(app: object) -> float:
        async def caller(body: dict[str, object]) -> None:
            for _ in range(REQUESTS):
                assert (await client.post("/v1/recommend", json=body)).status_code == 200

        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            began = time.perf_counter()
            await asyncio.gather(*map(caller, bodies))
            return CALLERS * REQUESTS / (time.perf_counter() - began)

    rates = [{name: asyncio.run(rate(app)) for name, app in apps.items()} for _ in range(7)][1:]
    gains = [found["coalesced"] / found["inline"] for found in rates]
    inline = np.median([found["inline"] for found in rates])
    told = f"{recommender.search_ms:.1f} ms a search, inline {inline:.0f} a second"
    print(f"\n{N:,} items, {CALLERS} callers: {told}, coalesced {np.median(gains):.2f} times as many")
    assert np.median(gains) > 1.1
