from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from engine.evaluation.baselines.ials import Weights, fit_ials, loss, solve_rows, solve_side
from engine.evaluation.baselines.knowledge import Knowledge, learn

LIKED = np.array([False, True])
WEIGHTS = Weights(confidence=4.0, penalty=0.5)


@pytest.fixture(scope="module")
def known(tastes) -> Knowledge:
    return learn(tastes, 24, LIKED)


def start(rows: int, dim: int = 6) -> np.ndarray:
    return (np.random.default_rng(rows).standard_normal((rows, dim)) * 0.1).astype(np.float32)


def test_every_half_pass_lowers_the_loss(known: Knowledge) -> None:
    users, items = start(60), start(24)
    losses = [loss(users, items, known.liked, WEIGHTS)]
    for _ in range(4):
        users = solve_side(items, known.liked, WEIGHTS)
        losses.append(loss(users, items, known.liked, WEIGHTS))
        items = solve_side(users, known.liked.T.tocsr(), WEIGHTS)
        losses.append(loss(users, items, known.liked, WEIGHTS))
    assert all(after < before for before, after in pairwise(losses))


def test_fold_in_is_where_the_loss_is_flat(known: Knowledge) -> None:
    items = start(24).astype(np.float64)
    user = solve_side(items.astype(np.float32), known.liked[[3]], WEIGHTS)[0].astype(np.float64)

    def at(x: np.ndarray) -> float:
        return loss(x[None], items, known.liked[[3]], WEIGHTS)

    slopes = [(at(user + step) - at(user - step)) / 2e-3 for step in 1e-3 * np.eye(6)]
    np.testing.assert_allclose(slopes, 0, atol=1e-3)


def test_padding_changes_nothing_and_nothing_gives_zero() -> None:
    items = start(24)
    present = np.array([[True, True, False], [False] * 3])
    padded = solve_rows(items, np.array([[4, 7, 9], [0, 0, 0]]), present, WEIGHTS)
    plain = solve_rows(items, np.array([[4, 7]]), np.ones((1, 2), bool), WEIGHTS)
    np.testing.assert_allclose(padded[0], plain[0], rtol=1e-5)
    assert not padded[1].any()


def test_blocks_of_rows_equal_one_row_at_a_time(monkeypatch, known: Knowledge) -> None:
    whole = solve_side(start(24), known.liked, WEIGHTS)
    monkeypatch.setattr("engine.evaluation.baselines.ials.ROWS_AT_ONCE", 1)
    np.testing.assert_allclose(solve_side(start(24), known.liked, WEIGHTS), whole, rtol=1e-4, atol=1e-6)


def test_passes_and_fold_in_equal_those_of_implicit(known: Knowledge) -> None:
    """From the same start the peer's exact solver reaches the same factors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its advice on the threads of the BLAS
        als = pytest.importorskip("implicit.cpu.als")
        peer = als.AlternatingLeastSquares(
            6,
            regularization=WEIGHTS.penalty,
            alpha=WEIGHTS.confidence,
            iterations=3,
            use_cg=False,
            num_threads=1,
        )
    users, items = start(60), start(24)
    peer.user_factors, peer.item_factors = users.copy(), items.copy()
    matrix = csr_matrix(known.liked)
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    peer.fit(matrix, show_progress=False)
    for _ in range(3):
        users = solve_side(items, known.liked, WEIGHTS)
        items = solve_side(users, known.liked.T.tocsr(), WEIGHTS)
    np.testing.assert_allclose(users @ items.T, peer.user_factors @ peer.item_factors.T, atol=1e-3)
    folded = solve_side(items, known.liked[:5], WEIGHTS)
    theirs = peer.recalculate_user(np.arange(5), matrix[:5])
    np.testing.assert_allclose(folded @ items.T, theirs @ peer.item_factors.T, atol=1e-3)


def test_the_same_seed_gives_the_same_factors(known: Knowledge) -> None:
    first, second, other = (fit_ials(known, dim=4, seed=s).items for s in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-3
