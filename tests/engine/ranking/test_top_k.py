"""The K best against a full sort, with ties, NaN and K beyond N."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from engine.ranking.top_k import top_k

SCORES = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
    elements=st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 1.0, np.inf, np.nan]),
)


def by_sorting(scores: np.ndarray, k: int) -> list[int]:
    """Sort the scored columns by falling score; Python's sort is stable, so ties keep their order."""
    scored = [column for column in range(len(scores)) if not np.isnan(scores[column])]
    best = sorted(scored, key=lambda column: -scores[column])[:k]
    return best + [-1] * (k - len(best))


@given(SCORES, st.integers(1, 20))
def test_equals_a_full_sort(scores: np.ndarray, k: int) -> None:
    assert top_k(scores, k).tolist() == [by_sorting(row, k) for row in scores]


def test_by_hand() -> None:
    assert top_k(np.array([[1.0, np.nan, 3.0, 3.0]]), 3).tolist() == [[2, 3, 0]]


def test_more_than_there_are() -> None:
    assert top_k(np.array([[2.0, np.nan]]), 4).tolist() == [[0, -1, -1, -1]]


def test_nothing() -> None:
    assert top_k(np.empty((2, 0)), 2).tolist() == [[-1, -1], [-1, -1]]
    assert top_k(np.ones((2, 3)), 0).shape == (2, 0)
