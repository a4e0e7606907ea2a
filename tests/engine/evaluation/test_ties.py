"""Places of tied scores, against every order of the ties."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.evaluation.ties import places

nan, inf = np.nan, np.inf


def test_each_place_of_a_tie_gets_its_share() -> None:
    scores = np.array([[1, 2, 2, 2, 3]], np.float32)
    wanted = np.array([[False, True, False, False, True]])
    found = places(scores, wanted, 3)
    np.testing.assert_allclose(found.hits, [[1, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(found.any_hit, [1])


def test_the_chance_of_a_hit_in_a_tie_that_does_not_fit() -> None:
    """Two of four are drawn; one of the four is wanted."""
    found = places(np.zeros((1, 4), np.float32), np.array([[False, True, False, False]]), 2)
    np.testing.assert_allclose(found.any_hit, [1 / 2])


def test_items_that_cannot_be_scored_stand_nowhere() -> None:
    found = places(np.array([[nan, 1, nan]]), np.array([[True, False, True]]), 2)
    assert found.hits.tolist() == [[0, 0]]
    assert found.any_hit.tolist() == [0]


def test_what_float32_rounds_apart_is_tied() -> None:
    scores = np.array([[10, np.nextafter(np.float32(10), np.float32(0)), 9.9]], np.float32)
    np.testing.assert_allclose(places(scores, np.array([[False, True, False]]), 1).hits, [[1 / 2]])
    np.testing.assert_allclose(places(scores, np.array([[False, False, True]]), 1).hits, [[0]])


def test_infinite_scores_are_equal() -> None:
    scores = np.array([[inf, inf, 1, -inf]], np.float32)
    np.testing.assert_allclose(places(scores, np.array([[True, False, False, False]]), 1).hits, [[1 / 2]])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_the_mean_over_all_orders_of_the_catalogue(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    scores, wanted = rng.integers(0, 3, 5).astype(np.float32), rng.random(5) < 0.4
    slates = [
        wanted[sorted(order, key=lambda item: -scores[item])][:k]
        for order in map(list, permutations(range(5)))
    ]
    found = places(scores[None], wanted[None], k)
    np.testing.assert_allclose(found.hits[0], np.mean(slates, axis=0), atol=1e-12)
    assert found.any_hit[0] == pytest.approx(np.mean([slate.any() for slate in slates]))
