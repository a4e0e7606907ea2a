"""The spectral start against a dense eigendecomposition worked out the long way."""

from __future__ import annotations

import numpy as np
import pytest

from engine.learning.spectral import LENGTH, factors_of, item_factors, shrink_of

USERS = np.array([0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 0])
ITEMS = np.array([0, 1, 2, 0, 1, 3, 4, 3, 4, 5, 0, 4, 0])  # the last event repeats the first
SHAPE = (5, 7)  # item 6 has no events


def cosine(shrink: float) -> np.ndarray:
    x = np.zeros(SHAPE)
    x[USERS, ITEMS] = 1
    together = x.T @ x
    norm = np.sqrt(np.diag(together))
    return together / (np.outer(norm, norm) + shrink)


@pytest.mark.parametrize("shrink", [1.0, 50.0])
def test_factors_span_the_top_of_the_cosine(shrink: float) -> None:
    factors = item_factors(USERS, ITEMS, SHAPE, 3, shrink)
    values, vectors = np.linalg.eigh(cosine(shrink))
    best = (vectors[:, -3:] * values[-3:]) @ vectors[:, -3:].T
    gram = factors @ factors.T
    np.testing.assert_allclose(gram / gram.max(), best / best.max(), atol=1e-5)


def test_the_item_of_an_event_has_unit_length_and_unmet_items_have_none() -> None:
    factors = item_factors(USERS, ITEMS, SHAPE, 3, 1.0)
    assert np.linalg.norm(factors, axis=1)[ITEMS].mean() == pytest.approx(LENGTH, abs=1e-5)
    assert not factors[6].any()


def test_factors_of_all_users_are_the_factors() -> None:
    factors = item_factors(USERS, ITEMS, SHAPE, 3, 1.0)
    of = factors_of(USERS, ITEMS, SHAPE, factors, 1.0)
    np.testing.assert_allclose(of(np.ones(SHAPE[0], bool), 1.0), factors, atol=1e-5)


def test_factors_of_some_users_do_not_depend_on_the_others() -> None:
    """Up to the basis: inner products of the projection onto the same eigenvectors."""
    factors = item_factors(USERS, ITEMS, SHAPE, 3, 1.0)
    kept = np.arange(SHAPE[0]) % 2 == 0
    mine = kept[USERS]
    own = factors_of(USERS[mine], ITEMS[mine], SHAPE, factors, 0.5)(np.ones(SHAPE[0], bool), 1.0)
    some = factors_of(USERS, ITEMS, SHAPE, factors, 1.0)(kept, 0.5)
    length = np.linalg.norm(some, axis=0) / np.linalg.norm(own, axis=0)
    np.testing.assert_allclose(some, own * length, atol=1e-4)


def test_signs_are_settled() -> None:
    factors = item_factors(USERS, ITEMS, SHAPE, 3, 1.0, seed=0)
    again = item_factors(USERS, ITEMS, SHAPE, 3, 1.0, seed=7)
    np.testing.assert_allclose(factors, again, atol=1e-5)


def test_more_dimensions_than_items_leave_zero_columns() -> None:
    factors = item_factors(USERS, ITEMS, SHAPE, 16, 1.0)
    assert factors.shape == (7, 16)
    assert not factors[:, 7:].any()


def test_a_shrink_that_is_told_is_taken() -> None:
    assert shrink_of(0.0, np.array([9])) == 0.0


def test_a_pair_needs_three_times_the_root_of_how_many_met_the_item_of_an_event() -> None:
    """Half of all events are with items that so many users met, however many items nobody knows."""
    assert shrink_of(None, np.array([1, 1, 1, 1, 9, 16])) == 3 * 16**0.5
    assert shrink_of(None, np.array([0] * 50 + [1, 9, 4, 1])) == 3 * 9**0.5
    assert shrink_of(None, np.array([0, 0])) == shrink_of(None, np.empty(0, np.int64)) == 0
