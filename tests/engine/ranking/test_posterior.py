"""One user's posterior in numpy == the model's own; its dual covariance == the primal inverse."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.events import Support
from engine.learning.closed_form import posterior_primal
from engine.learning.objectives import Click, Objective, Ranking
from engine.ranking.adapter import episodes_of
from engine.ranking.elicit import most_telling, told
from engine.ranking.posterior import Gaussian, UserPosterior, gaussian_posterior, quadratic
from engine.ranking.scorer import Scorer
from tests.synthetic import synthetic_artifact


def problem(shots: int, dim: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    root_DD = rng.standard_normal((dim, dim))
    a0_DD = root_DD @ root_DD.T + np.eye(dim)
    phi_SD, target_S = rng.standard_normal((shots, dim)), rng.standard_normal(shots)
    return rng.standard_normal(dim), a0_DD, phi_SD, target_S, rng.uniform(0.1, 3, shots)


def posterior(shots: int, dim: int, seed: int = 0) -> UserPosterior:
    w0_D, a0_DD, phi_SD, target_S, c_S = problem(shots, dim, seed)
    return gaussian_posterior(w0_D, phi_SD, target_S, c_S, Gaussian.of(np.linalg.cholesky(a0_DD)))


@pytest.mark.parametrize("shots", [0, 1, 5, 6, 7, 40])
def test_mean_and_covariance_are_those_of_the_primal_form(shots: int) -> None:
    parts = problem(shots, 6)
    mean_BD, a_BDD = posterior_primal(
        *(torch.from_numpy(part) if part is parts[1] else torch.from_numpy(part)[None] for part in parts)
    )
    own = posterior(shots, 6)
    np.testing.assert_allclose(own.mean_D, mean_BD[0].numpy(), atol=1e-10)
    np.testing.assert_allclose(own.covariance, np.linalg.inv(a_BDD[0].numpy()), atol=1e-10)


@settings(deadline=None, max_examples=30)
@given(shots=st.integers(1, 12), seed=st.integers(0, 1000))
def test_one_event_after_another_gives_the_covariance_of_all_at_once(shots: int, seed: int) -> None:
    _, a0_DD, phi_SD, _, c_S = problem(shots, 5, seed)
    covariance_DD = np.linalg.inv(a0_DD)
    for phi_D, c in zip(phi_SD, c_S, strict=True):
        covariance_DD = told(covariance_DD, phi_D, c)
    np.testing.assert_allclose(covariance_DD, posterior(shots, 5, seed).covariance, atol=1e-9)


def test_draws_have_the_mean_and_covariance_of_the_posterior() -> None:
    own, rng = posterior(3, 4), np.random.default_rng(0)
    drawn = np.stack([own.draw(rng, 2.0) for _ in range(40_000)])
    spread_D = np.sqrt(own.covariance.diagonal())
    np.testing.assert_allclose(drawn.mean(axis=0), own.mean_D, atol=4 * 2 * spread_D.max() / 200)
    np.testing.assert_allclose(np.cov(drawn.T), 4 * own.covariance, atol=0.04 * 4 * spread_D.max() ** 2)


def test_deviation_is_that_of_drawn_scores() -> None:
    own = posterior(3, 4)
    direction_ND = np.random.default_rng(1).standard_normal((5, 4))
    expected = [np.sqrt(d @ own.covariance @ d) for d in direction_ND]
    np.testing.assert_allclose(own.deviation(direction_ND), expected)


@pytest.mark.parametrize(
    ("objective", "robust"), [(Ranking(), False), (Ranking(), True), (Click(), False), (Click(), True)]
)
@pytest.mark.parametrize("shots", [0, 1, 7, 30, 600])
def test_the_model_adapts_alike(objective: Objective, robust: bool, shots: int) -> None:
    artifact = synthetic_artifact(700, 16, objective, robust)
    model = artifact.model
    with torch.no_grad():
        model.evidence.recency_A.copy_(-torch.arange(9.0) / 4)
        model.evidence.elapsed_H.copy_(-torch.arange(16.0) / 8)
    rng = np.random.default_rng(shots)
    timestamp = np.where(rng.random(shots) < 0.3, np.nan, 3600.0 * rng.integers(0, 9999, shots))
    rows, signal = rng.integers(0, 700, shots), rng.integers(0, 5, shots)
    support = Support(rows, signal, timestamp, ())
    own = Scorer(model).adapter(support, np.empty(0, np.float32))
    with torch.inference_mode():
        episodes = episodes_of([support], np.empty((1, 0), np.float32))
        posterior = model.adapt(model.view(), model.prior.mean(episodes.user_x), episodes)
    np.testing.assert_allclose(own.mean_D, posterior.w_BD[0].numpy(), atol=2e-5)
    if robust and shots:
        assert posterior.own_BS is not None
        assert own.own_S is not None
        np.testing.assert_allclose(own.own_S, posterior.own_BS[0, :shots].numpy(), rtol=1e-4)
    else:
        assert own.own_S is None


def information(a0_DD: np.ndarray, phi_MD: np.ndarray, c_M: np.ndarray, rows: list[int]) -> float:
    """Of certain answers about some items, refitted from nothing."""
    a_DD = a0_DD + (phi_MD[rows].T * c_M[rows]) @ phi_MD[rows]
    return 0.5 * float(np.linalg.slogdet(a_DD)[1] - np.linalg.slogdet(a0_DD)[1])


def test_greedy_questions_are_the_best_next_ones_by_recomputing_everything() -> None:
    """Each pick has the highest expected information given the picks before, as answers of precision q c."""
    rng = np.random.default_rng(3)
    _, a0_DD, phi_MD, _, c_M = problem(9, 4, 3)
    known_M = rng.uniform(0.1, 1, 9)
    rows, gains = most_telling(np.linalg.inv(a0_DD), phi_MD, c_M, known_M, 9)
    assert sorted(rows) == list(range(9))
    a_DD, left = a0_DD.copy(), set(range(9))
    for row, gain in zip(rows, gains, strict=True):
        told_nats = {i: known_M[i] * information(a_DD, phi_MD, c_M, [i]) for i in left}
        assert row == max(told_nats, key=told_nats.__getitem__)
        assert gain == pytest.approx(told_nats[row])
        left.remove(row)
        a_DD += known_M[row] * c_M[row] * np.outer(phi_MD[row], phi_MD[row])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_greedy_set_is_near_the_best_of_all_sets(seed: int, k: int) -> None:
    """Gains add up to the set's information: the best for one question, at least 1 - 1/e of it for more."""
    _, a0_DD, phi_MD, _, c_M = problem(9, 4, seed)
    rows, gains = most_telling(np.linalg.inv(a0_DD), phi_MD, c_M, np.ones(9), k)
    best = max(information(a0_DD, phi_MD, c_M, list(some)) for some in combinations(range(9), k))
    assert gains.sum() == pytest.approx(information(a0_DD, phi_MD, c_M, list(rows)))
    assert gains.sum() >= (1 - 1 / np.e if k > 1 else 1 - 1e-12) * best


def test_quadratic_is_never_negative() -> None:
    assert quadratic(np.ones((1, 2)), np.array([[0.0, 0.0], [0.0, -1e-18]]))[0] == 0
