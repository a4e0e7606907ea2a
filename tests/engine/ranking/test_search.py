"""The search finds the best of a full sort, ties in order; nothing is compiled inside a request."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.dispatcher import Dispatcher

from engine import Recommender, compiled
from engine.learning import adjoint, cholesky
from engine.learning.episodic_ridge import LEAST
from engine.learning.objectives import Click, Objective, Ranking
from engine.ranking import adapter, base_shift, posterior, search, together
from engine.ranking.layout import laid_out
from engine.ranking.search import BLOCK, Aim, best, scores_of
from engine.ranking.top_k import top_k
from engine.recommender import Asked
from tests.synthetic import synthetic_artifact

DIM = 4
NOBODY = np.zeros(1, np.float32), np.zeros(6, np.float32), 0.0


def aim(u_D: np.ndarray, bonus: float = 0.0, spread: float = 1.0) -> Aim:
    return Aim(u_D.astype(np.float64), 1.0, *NOBODY, bonus, spread * np.eye(DIM))


def kept(expected_N: np.ndarray, k: int) -> np.ndarray:
    rows = top_k(expected_N[None], k)[0]
    return rows[rows >= 0]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 3 * BLOCK),
    k=st.integers(1, 50),
    share=st.sampled_from([0.0, 0.01, 0.6, 1.0]),
    n_barred=st.integers(0, 30),
)
def test_the_best_are_those_of_a_full_sort_and_ties_go_to_the_lower_row(
    seed: int, n: int, k: int, share: float, n_barred: int
) -> None:
    rng = np.random.default_rng(seed)
    base_N = rng.integers(-3, 3, n).astype(np.float32)  # whole numbers: sums are exact, ties many
    phi_ND = rng.integers(-1, 2, (n, DIM)).astype(np.float32)
    u_D, allowed_N = rng.integers(-1, 2, DIM), rng.random(n) < share
    barred = rng.choice(n, min(n_barred, n), replace=False)
    tables = laid_out(phi_ND, np.ones(DIM, np.float32), base_N, np.eye(DIM), None)
    expected_N = phi_ND @ u_D.astype(np.float32) + base_N
    expected_N[~allowed_N] = np.nan
    expected_N[barred] = np.nan
    expected = kept(expected_N, k)
    rows, scores, left = best(tables, aim(u_D), k, allowed_N, barred, n)
    assert not left
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(scores, expected_N[expected])


@pytest.mark.parametrize("bonus", [0.0, 2.0])
def test_ascending_scores_and_a_bonus_change_nothing(bonus: float) -> None:
    """The worst order: each item is better than all before it, and popularity misleads."""
    rng, n = np.random.default_rng(0), 4 * BLOCK + 7
    base_N = np.linspace(5, 0, n).astype(np.float32)
    phi_ND = np.stack([np.linspace(0, 9, n), *rng.standard_normal((DIM - 1, n))], axis=1).astype(np.float32)
    wanted = aim(np.array([1.0, 0.5, 0.0, 0.0]), bonus, spread=0.25)
    tables = laid_out(phi_ND, np.ones(DIM, np.float32), base_N, np.eye(DIM), None)
    expected_N = phi_ND @ wanted.w_D + base_N + bonus * 0.5 * np.linalg.norm(phi_ND, axis=1)
    rows, scores, _ = best(tables, wanted, 20, np.empty(0, np.bool_), np.empty(0, np.int64), n)
    np.testing.assert_array_equal(rows, kept(expected_N, 20))
    np.testing.assert_allclose(scores, expected_N[rows], rtol=1e-5)
    np.testing.assert_allclose(scores_of(tables, wanted, rows), scores, rtol=0)


def test_the_bound_of_a_shift_lies_close_above_it() -> None:
    """However unlike the user is to all others: ratios are far from 1 in trained models."""
    ratio_N = np.geomspace(1e-3, 1e5, BLOCK).astype(np.float32)
    tables = laid_out(
        np.zeros((BLOCK, DIM), np.float32),
        np.ones(DIM, np.float32),
        np.zeros(BLOCK, np.float32),
        np.eye(DIM),
        None,
    )
    ridge_G6B = np.zeros((1, 6, BLOCK), np.float32)
    ridge_G6B[0, 5] = ratio_N
    tables = tables._replace(ridge_G6B=ridge_G6B)
    shifted = aim(np.zeros(DIM))._replace(length_6=np.eye(6, dtype=np.float32)[5], gain=0.7)
    upper_B, shift_B = np.zeros(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    search.add_shift(tables, shifted, 0, upper_B, shift_B)
    above = shift_B - 0.7 * np.log(np.maximum(ratio_N, LEAST))
    assert above.min() >= -1e-6
    assert above.max() < 0.7 * 0.015
    np.testing.assert_array_equal(upper_B, shift_B)


def versions() -> dict[str, int]:
    """How many types of arguments each function is compiled for."""
    return {
        f"{module.__name__}.{name}": len(value.signatures)
        for module in (adapter, adjoint, base_shift, cholesky, posterior, search, together)
        for name, value in vars(module).items()
        if isinstance(value, Dispatcher)
    }


@pytest.mark.parametrize(("objective", "robust"), [(Ranking(), False), (Ranking(), True), (Click(), False)])
def test_nothing_is_compiled_inside_a_request(objective: Objective, robust: bool) -> None:
    rec = Recommender(synthetic_artifact(1500, 8, objective, robust))
    before = versions()
    for n_events in (0, 1, 5, 20):
        plain = [{"item_id": f"i{row}", "value": 5.0} for row in range(n_events)]
        dated = [{"item_id": f"i{row}", "timestamp": 1e9 + row} for row in range(n_events)]
        for asked in (
            {"events": plain},
            {"events": dated, "user": {}, "exclude_seen": False},
            {"events": plain, "candidates": ["i3", "i7"], "explain": True},
            {"events": dated, "candidates": rec.item_ids[::2], "uncertainty": True},
            {"events": plain, "explore": "ucb"},
            {"events": dated, "explore": "thompson", "candidates": ["i3"]},
        ):
            rec.recommend(**asked)
        rec.elicit(plain)
        rec.recommend_together([Asked(plain, k=3)])
        rec.recommend_together([Asked(plain, exclude_seen=False), Asked(dated, k=3)])
    assert versions() == before
    assert len(before) > 10


def test_where_nothing_can_be_kept_functions_are_compiled_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    njit = compiled.njit

    def refusing(function, **options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(function, **options)

    monkeypatch.setattr(compiled, "njit", refusing)
    assert compiled.compiled(lambda x: x + 1)(2.0) == 3.0


def test_a_kept_function_is_known_by_all_sources_it_may_be_made_of() -> None:
    engine = Path(compiled.__file__).parent
    makers = [path for path in engine.rglob("*.py") if "engine.compiled import" in path.read_text("utf-8")]
    assert len(makers) > 5
    assert set(makers) <= set(compiled._SOURCES)
