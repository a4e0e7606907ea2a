"""What a request costs in process beside one read of the catalogue, and beside `implicit`, by catalogue size.

    pytest --run-benchmarks -s tests/benchmarks/test_recommend_speed.py

Random tables of D = 64 in the shape of trained ones, 20 events, top 20, one thread. "A read" multiplies a
vector by the catalogue as it is best stored, (D, N). The contenders take turns, so that a busy machine slows
all alike; the fastest quarter of the turns counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from engine import Recommender
from tests.synthetic import synthetic_artifact

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]

SIZES = (1_000, 10_000, 100_000, 1_000_000)
DIM, SHOTS, K = 64, 20, 20
TURNS = {1_000: 400, 10_000: 300, 100_000: 160, 1_000_000: 24}
ALLOWED_MS = {100_000: 0.2, 1_000_000: 0.5}  # beyond 1.5 reads

Costs = dict[str, float]


def contenders(n_items: int) -> dict[str, Callable[[int], object]]:
    rec = Recommender(synthetic_artifact(n_items, DIM))
    rng = np.random.default_rng(0)
    chosen = [rng.choice(n_items, SHOTS, replace=False) for _ in range(16)]
    requests = [
        [{"item_id": f"i{row}", "value": float(rng.integers(1, 6))} for row in rows] for rows in chosen
    ]
    phi_DN = np.ascontiguousarray(rec._scorer.phi_ND.T)
    w_D, out_N = rng.standard_normal(DIM).astype(np.float32), np.empty(n_items, np.float32)
    model = AlternatingLeastSquares(factors=DIM, num_threads=1)
    model.item_factors = np.ascontiguousarray(rec._scorer.phi_ND)
    model.user_factors = np.zeros((1, DIM), np.float32)
    histories = [
        sp.csr_matrix((np.ones(SHOTS, np.float32), (np.zeros(SHOTS, int), rows)), (1, n_items))
        for rows in chosen
    ]
    return {
        "read": lambda turn: np.dot(w_D, phi_DN, out=out_N),
        "firstclick": lambda turn: rec.recommend(requests[turn % 16], k=K),
        "with candidates": lambda turn: rec.recommend(
            requests[turn % 16], k=K, candidates=rec.item_ids[:: max(n_items // 500, 1)]
        ),
        "implicit": lambda turn: model.recommend(0, histories[turn % 16], N=K, recalculate_user=True),
    }


def costs(n_items: int) -> Costs:
    """Milliseconds a call: mean of the fastest quarter."""
    calls = contenders(n_items)
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(TURNS[n_items] + 3):
        for name, call in calls.items():
            started = time.perf_counter()
            call(turn)
            if turn >= 3:
                taken[name].append(1000 * (time.perf_counter() - started))
    return {name: float(np.mean(np.sort(times)[: len(times) // 4])) for name, times in taken.items()}


@pytest.fixture(scope="module")
def table() -> dict[int, Costs]:
    with threadpool_limits(1):
        found = {n_items: costs(n_items) for n_items in SIZES}
    names = list(found[SIZES[0]])
    print("\n\n| items | " + " | ".join(f"{name}, ms" for name in names) + " | in reads |")
    print("|" + "---:|" * (len(names) + 2))
    for n_items, cost in found.items():
        cells = [f"{cost[name]:.3f}" for name in names]
        print(f"| {n_items:,} | " + " | ".join(cells) + f" | {cost['firstclick'] / cost['read']:.2f} |")
    return found


@pytest.mark.parametrize("n_items", ALLOWED_MS)
def test_a_request_costs_little_more_than_reading_the_catalogue(
    table: dict[int, Costs], n_items: int
) -> None:
    cost = table[n_items]
    assert cost["firstclick"] <= 1.5 * cost["read"] + ALLOWED_MS[n_items], cost


@pytest.mark.parametrize("n_items", SIZES[1:])
def test_faster_than_implicit_with_the_user_recalculated(table: dict[int, Costs], n_items: int) -> None:
    assert table[n_items]["firstclick"] < table[n_items]["implicit"]
