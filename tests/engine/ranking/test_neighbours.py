"""Lists to compare with, against counting by hand and against the dense baseline."""

from __future__ import annotations

import numpy as np
import pytest

from engine.ranking.neighbours import in_order, nearest

WEIGHT_CC = np.array([[0, 3, 1], [2, 0, 5], [4, 6, 0]], np.float32)  # row speaks for column
ROWS = np.array([1, 3, 4])


def test_all_neighbours_give_the_dense_product() -> None:
    liked = np.array([1, 4, 4])
    x_C = np.isin(ROWS, liked).astype(np.float32)
    scores_N = nearest(WEIGHT_CC, ROWS, most=3).score(liked, n_items=6)
    assert scores_N[ROWS].tolist() == (x_C @ WEIGHT_CC).tolist() == [4, 9, 1]
    assert scores_N[[0, 2, 5]].tolist() == [0, 0, 0]


def test_only_the_strongest_speak() -> None:
    one = nearest(WEIGHT_CC, ROWS, most=1)
    assert one.neighbour_CM[:, 0].tolist() == [4, 4, 3]
    assert one.weight_CM[:, 0].tolist() == [4, 6, 5]
    assert one.score(np.array([1]), 6).tolist() == [0] * 6


def test_nothing_liked_scores_nothing() -> None:
    assert not nearest(WEIGHT_CC, ROWS).score(np.array([], np.int64), 6).any()


@pytest.mark.parametrize(("k", "expected"), [(2, [3, 2]), (9, [3, 2, 0])])
def test_equals_stand_by_popularity_then_row(k: int, expected: list[int]) -> None:
    scores = np.array([1, 1, 1, 2], np.float32)
    popularity = np.array([5, 9, 7, 0], np.float32)
    shown = np.array([True, False, True, True])
    assert in_order(scores, popularity, shown, k).tolist() == expected
    assert in_order(scores * 0, popularity * 0, shown, 3).tolist() == [0, 2, 3]
