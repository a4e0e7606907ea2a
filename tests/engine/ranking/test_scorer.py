"""The scorer's shortcuts change nothing: the best are those of a full sort of the model's scores."""

from __future__ import annotations

import numpy as np
import pytest

from engine.data.events import Support
from engine.learning.objectives import Click, Ranking
from engine.ranking.explore import Explore
from engine.ranking.scorer import Adapted, Scorer
from engine.ranking.top_k import top_k
from tests.synthetic import synthetic_artifact

N = 9000


@pytest.fixture(scope="module", params=["ranking", "doubting", "click", "without ridge", "cold"])
def scorer(request: pytest.FixtureRequest) -> Scorer:
    objective, doubting = Click() if request.param == "click" else Ranking(), request.param == "doubting"
    model = synthetic_artifact(N, 16, objective, doubting).model
    if request.param == "without ridge":
        model.ridge = None
    if request.param == "cold":
        model.items.warm_N[::3] = False
        model.items.imputed_ND.copy_(model.items.spectral_ND)
    return Scorer(model)


def adapted(scorer: Scorer, shots: int, seed: int = 0) -> Adapted:
    rng = np.random.default_rng(seed)
    rows = rng.choice(N, shots, replace=False)
    support = Support(rows, rng.integers(0, 5, shots), np.full(shots, np.nan), ())
    return scorer.adapt(support, np.empty(0, np.float32))


def model_scores(scorer: Scorer, user: Adapted) -> np.ndarray:
    return scorer.predict([user.support], user.user_x[None])[0]


@pytest.mark.parametrize("shots", [0, 1, 5, 20, 100])
def test_scores_are_the_models(scorer: Scorer, shots: int) -> None:
    user = adapted(scorer, shots)
    np.testing.assert_allclose(scorer.scores(user), model_scores(scorer, user), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shots", [0, 1, 5, 20, 100])
@pytest.mark.parametrize("k", [1, 10, 300, N + 5])
def test_the_best_are_those_of_a_full_sort(scorer: Scorer, shots: int, k: int) -> None:
    user = adapted(scorer, shots, seed=k)
    rows, scores = scorer.best(user, k, barred=user.support.item_row)
    expected = model_scores(scorer, user).copy()
    expected[user.support.item_row] = np.nan
    best = top_k(expected[None], k)[0]
    best = best[best >= 0]
    assert len(rows) == len(best) == len(set(rows))
    np.testing.assert_allclose(scores, expected[best], atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(expected[rows], expected[best], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_few_or_many_candidates_give_the_best_among_them(scorer: Scorer, share: float) -> None:
    user = adapted(scorer, 5)
    allowed_N = np.random.default_rng(1).random(N) < share
    rows, scores = scorer.best(user, 20, allowed_N, user.support.item_row)
    allowed_N[user.support.item_row] = False
    expected = np.where(allowed_N, model_scores(scorer, user), -np.inf)
    assert allowed_N[rows].all()
    np.testing.assert_allclose(scores, np.sort(expected)[::-1][:20], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shots", [0, 5, 20])
def test_ucb_orders_by_score_and_deviation(scorer: Scorer, shots: int) -> None:
    user = adapted(scorer, shots)
    rows, scores = scorer.best(user, 30, how=Explore("ucb", 0.7))
    own_N = scorer.scores(user)
    order_N = own_N + 0.7 * scorer.deviations(user, slice(None))
    np.testing.assert_allclose(order_N[rows], np.sort(order_N)[::-1][:30], atol=2e-5, rtol=1e-5)
    np.testing.assert_allclose(scores, own_N[rows], atol=1e-5, rtol=1e-5)


def test_thompson_orders_by_one_draw_and_the_seed_repeats_it(scorer: Scorer) -> None:
    user = adapted(scorer, 5)
    how = Explore("thompson", 1.0, seed=4)
    rows, scores = scorer.best(user, 30, how=how)
    drawn_D = user.posterior.draw(np.random.default_rng(4), 1.0)
    moved = (drawn_D - user.posterior.mean_D) * scorer.scale_D
    order_N = scorer.scores(user) + scorer.phi_ND @ moved
    np.testing.assert_allclose(order_N[rows], np.sort(order_N)[::-1][:30], atol=1e-4, rtol=1e-5)
    np.testing.assert_array_equal(rows, scorer.best(user, 30, how=how)[0])
    assert set(rows) != set(scorer.best(user, 30, how=Explore("thompson", 1.0, seed=5))[0])
    plain, plain_scores = scorer.best(user, 30)
    again, _ = scorer.best(user, 30, how=Explore("thompson", 0.0))
    np.testing.assert_array_equal(plain, again)
    assert plain_scores.mean() > scores.mean()


def test_likeness_is_the_correlation_of_drawn_scores(scorer: Scorer) -> None:
    rng = np.random.default_rng(0)
    w_UD = rng.multivariate_normal(np.zeros(16), scorer.adapter.prior.covariance_DD, 20_000)
    some = np.array([3, 50, 4000])
    scores_U3 = w_UD @ (scorer.phi_ND[some] * scorer.scale_D).T
    expected = np.corrcoef(scores_U3.T)[0]
    np.testing.assert_allclose(scorer.likeness(3)[some], expected, atol=0.03)
