"""What counting gives before any gradient, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.data.histories import Histories
from engine.learning import start
from engine.learning.folds import FOLDS, without
from engine.learning.objectives import Rating
from engine.learning.start import Known, click_start, ranking_start, rating_start
from tests.histories import group_by_user

N = 6
VALUE = np.array([1.0, 5.0, np.nan])  # signals: bad, good, a named event
WANTED = np.array([False, True, True])


@pytest.fixture(scope="module")
def histories() -> Histories:
    """Ten users with four events each: item 0 is always good, item 1 always bad, item 5 is never met."""
    user, item, signal = [], [], []
    for u in range(10):
        user += [u] * 4
        item += [0, 1, 2 + u % 3, 2 + (u + 1) % 3]
        signal += [1, 0, u % 2, 2]
    return group_by_user(np.array(user), np.array(item), np.array(signal), np.arange(40.0), 10)


def known(histories: Histories) -> Known:
    def count(some: Histories) -> np.ndarray:
        wanted = WANTED[some.signal]
        return np.bincount(some.item_row[wanted], minlength=N).astype(np.float64)

    return Known(histories, N, WANTED, VALUE, count)


def test_a_rating_starts_at_the_items_shrunk_means(histories: Histories) -> None:
    begun = rating_start(known(histories), 4, 1.0)
    assert isinstance(begun.objective, Rating)
    told = VALUE[histories.signal][np.isfinite(VALUE[histories.signal])]
    mean = told.mean()
    expected = np.full(N, mean)
    expected[0] = mean + 10 * (5 - mean) / (10 + 5)
    expected[1] = mean + 10 * (1 - mean) / (10 + 5)
    said = begun.objective.prediction(torch.from_numpy(begun.base_N)).numpy()
    np.testing.assert_allclose(said[[0, 1, 5]], expected[[0, 1, 5]], rtol=1e-5)
    np.testing.assert_allclose(begun.target_R, [*(VALUE[:2] - mean) / told.std(), 0.0], rtol=1e-5)
    assert begun.scale == 1.0
    assert begun.parts is None


def test_the_last_dimension_of_a_rating_is_the_user_s_level(histories: Histories) -> None:
    factors = rating_start(known(histories), 4, 1.0).spectral_ND
    assert factors.shape == (N, 4)
    assert (factors[:, -1] == 1).all()
    assert (factors[5, :-1] == 0).all()  # nobody met it
    assert (factors[:5, :-1] != 0).any(axis=1).all()


@pytest.mark.parametrize("dim", [1, 2])
def test_a_rating_needs_no_more_than_the_level(histories: Histories, dim: int) -> None:
    assert rating_start(known(histories), dim, 1.0).spectral_ND.shape == (N, dim)


def test_a_click_starts_at_the_log_odds_of_being_wanted(histories: Histories) -> None:
    begun = click_start(known(histories), 3, 1.0)
    chance = 1 / (1 + np.exp(-begun.base_N))
    assert chance[[0, 1, 5]] == pytest.approx([10.5 / 11, 0.5 / 11, 0.5 / 11], rel=1e-5)
    assert begun.target_R.tolist() == [0, 1, 1]


def test_a_ranking_starts_at_log_popularity(histories: Histories) -> None:
    begun = ranking_start(known(histories), 3, 1.0)
    np.testing.assert_allclose(np.exp(begun.base_N[[0, 1, 5]]), [10.5, 0.5, 0.5], rtol=1e-5)
    np.testing.assert_allclose(begun.target_R, [0.2, 1, 1], rtol=1e-6)


@pytest.mark.parametrize("begin", [ranking_start, click_start])
def test_each_fold_sees_what_the_others_count(histories: Histories, begin: object) -> None:
    begun = begin(known(histories), 3, 1.0)  # type: ignore[operator]
    fold = 1  # of users 1 and 6
    rest = histories.take(without(fold, 10))
    times = known(histories).count(rest) / (1 - 1 / FOLDS)
    expected = np.log(times + 0.5) if begin is ranking_start else _log_odds((times + 0.5) / 11)
    np.testing.assert_allclose(begun.parts.base_FN[fold], expected, rtol=1e-5)
    assert begun.parts.spectral_FND.shape == (FOLDS, N, 3)
    assert begun.parts.warm_FN[fold].tolist() == [True] * 5 + [False]
    assert np.abs(begun.parts.spectral_FND[fold].numpy() - begun.spectral_ND).max() > 1e-4


def test_large_catalogues_are_not_cross_fitted(histories: Histories, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "CROSS_FITTED", N - 1)
    assert ranking_start(known(histories), 3, 1.0).parts is None


def _log_odds(chance: np.ndarray) -> np.ndarray:
    return np.log(chance / (1 - chance))
