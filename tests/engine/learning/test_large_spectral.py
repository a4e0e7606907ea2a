"""The spectral start by shards: terms of the denominator, and the same embeddings as the exact ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from engine.learning.large_spectral import Entries, own_factors, shrunk_terms
from engine.learning.spectral import item_factors

U, N, D = 300, 60, 6


def events(seed: int = 0) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Users of four kinds, items of four kinds, some strays; the last three items are nobody's."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(U), 12)
    item = rng.integers(0, 14, len(user)) * 4 + np.where(
        rng.random(len(user)) < 0.8, user % 4, rng.integers(0, 4)
    )
    return user, item, (U, N)


def in_parts(
    user: np.ndarray, item: np.ndarray, value: np.ndarray | None = None
) -> Callable[[], Iterator[Entries]]:
    """A hundred users at a time, and once nobody."""

    def read() -> Iterator[Entries]:
        yield Entries(0, user[:0], item[:0], None if value is None else value[:0])
        for first in range(0, U, 100):
            mine = (user >= first) & (user < first + 100)
            yield Entries(100, user[mine] - first, item[mine], None if value is None else value[mine])

    return read


@pytest.mark.parametrize("shrink", [0.0, 5.0, 50.0])
@pytest.mark.parametrize("most", [1.0, 30.0, 3000.0])
def test_few_terms_make_the_shrunk_denominator(shrink: float, most: float) -> None:
    norm_N = np.concatenate([[0.0], np.geomspace(1.0, most, 40)])
    term_RN, sign_R = shrunk_terms(norm_N, shrink)
    made = np.einsum("r,ri,rj->ij", sign_R, term_RN, term_RN, dtype=np.float64)
    product = np.outer(norm_N, norm_N)[1:, 1:]
    np.testing.assert_allclose(made[1:, 1:] * product, product / (product + shrink), atol=1e-4)
    assert not made[0].any()
    assert len(sign_R) <= 9


@pytest.mark.parametrize("signed", [False, True])
def test_equals_the_exact_start(signed: bool) -> None:
    user, item, shape = events()
    value = np.random.default_rng(1).normal(size=len(user)) + (item % 3) if signed else None
    exact = item_factors(user, item, shape, D, 5.0, value)
    told = in_parts(user, item, value)
    ours = own_factors(told, N, D, 5.0, iterations=200)
    np.testing.assert_allclose(ours, exact, atol=2e-3)
    few = own_factors(told, N, D, 5.0)
    captured = [np.square(f).sum() for f in (few, exact)]
    assert captured[0] == pytest.approx(captured[1], rel=0.02)


def test_no_events_and_one_item() -> None:
    none, one = np.empty(0, np.int64), np.zeros(1, np.int64)
    assert not own_factors(lambda: [Entries(0, none, none)], 5, 3, 0.0).any()
    assert own_factors(lambda: [Entries(1, one, one)], 1, 3, 5.0).shape == (1, 3)
