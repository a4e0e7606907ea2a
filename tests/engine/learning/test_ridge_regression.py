"""Ridge regression from sums against scikit-learn's on the rows, its penalty against trying each."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from engine.learning.ridge_regression import PENALTIES, Folds, Singles, cross_validated

F, M, C, ROWS = 5, 6, 4, 60
RELATIVE = np.array([1.0, 1.0, 0.25, 0.25, 4.0, 1e-6])


@pytest.fixture(params=[0.3, 8.0], ids=["clear", "noisy"])
def rows(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs (ROWS, M), targets (ROWS, C) and folds (ROWS,)."""
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.standard_normal((ROWS, M - 1)), np.ones((ROWS, 1))], axis=1)
    y = z @ rng.standard_normal((M, C)) + request.param * rng.standard_normal((ROWS, C))
    return z, y, np.arange(ROWS) % F


def folds_of(z: np.ndarray, y: np.ndarray, fold: np.ndarray) -> Folds:
    parts = [(z[fold == f], y[fold == f]) for f in range(F)]
    gram = np.stack([a.T @ a for a, _ in parts])
    return Folds.of(gram, np.stack([a.T @ b for a, b in parts]).astype(np.float32))


def scikit(z: np.ndarray, y: np.ndarray, penalty: float, relative: np.ndarray = RELATIVE) -> Singles:
    """One penalty an input is a ridge of penalty 1 on inputs divided by their roots."""
    root = np.sqrt(penalty * relative)
    return (Ridge(alpha=1.0, fit_intercept=False).fit(z / root, y).coef_ / root).T.astype(np.float32)


def test_the_penalty_foresees_the_folds_best(rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    z, y, fold = rows
    errors = []
    for penalty in PENALTIES:
        foreseen = [z[fold == f] @ scikit(z[fold != f], y[fold != f], penalty) for f in range(F)]
        errors.append(sum(((foreseen[f] - y[fold == f]) ** 2).sum() for f in range(F)))
    best = PENALTIES[np.argmin(errors)]
    assert cross_validated(folds_of(z, y, fold), RELATIVE).penalty == best


def test_more_noise_more_penalty() -> None:
    rng = np.random.default_rng(1)
    z, fold = rng.standard_normal((ROWS, M)), np.arange(ROWS) % F
    y = z @ rng.standard_normal((M, C))
    chosen = [
        cross_validated(folds_of(z, y + noise * rng.standard_normal(y.shape), fold), np.ones(M)).penalty
        for noise in (0.1, 3.0, 30.0)
    ]
    assert chosen[0] < chosen[1] < chosen[2]


def test_weights_are_those_of_scikit_learn(rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    z, y, fold = rows
    ridge = cross_validated(folds_of(z, y, fold), RELATIVE)
    np.testing.assert_allclose(ridge.weight_MC, scikit(z, y, ridge.penalty), rtol=1e-3, atol=1e-4)
    for f, weight_MC in enumerate(ridge.without_FMC):
        expected = scikit(z[fold != f], y[fold != f], ridge.penalty)
        np.testing.assert_allclose(weight_MC, expected, rtol=1e-3, atol=1e-4)


def test_what_others_leave(rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Regressing in two stages: the second on the first's residuals, each fold's without that fold."""
    z, y, fold = rows
    first, second = slice(4, M), slice(0, 4)
    folds = folds_of(z, y, fold)
    before = cross_validated(folds.part(first), RELATIVE[first])
    after = cross_validated(folds.rest(second, first, before), RELATIVE[second])
    left = y - z[:, first] @ before.weight_MC
    expected = scikit(z[:, second], left, after.penalty, RELATIVE[second])
    np.testing.assert_allclose(after.weight_MC, expected, rtol=1e-3, atol=1e-4)
    for f in range(F):
        others = fold != f
        left = y[others] - z[others, first] @ before.without_FMC[f]
        expected = scikit(z[others, second], left, after.penalty, RELATIVE[second])
        np.testing.assert_allclose(after.without_FMC[f], expected, rtol=1e-3, atol=1e-4)
