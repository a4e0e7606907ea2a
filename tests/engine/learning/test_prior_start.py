"""The start of the prior: ridge regression, and strangers who start where people like them end up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from engine.data.episodes import support_only
from engine.data.histories import Histories
from engine.learning.evidence import Evidence
from engine.learning.inner_loop import ClosedForm
from engine.learning.items import ItemRepresentation
from engine.learning.meta import MetaModel
from engine.learning.objectives import Ranking
from engine.learning.prior import UserPrior
from engine.learning.prior_start import posteriors, ridge, start_prior

N, D, U = 12, 4, 150  # more users than are solved at once
CLUB = np.arange(U) % 2


def model_of(n_features: int) -> MetaModel:
    torch.manual_seed(0)
    items = ItemRepresentation.start(
        torch.randn(N, D), torch.zeros(N), torch.ones(N, dtype=torch.bool), torch.empty(N, 0)
    )
    evidence = Evidence(torch.tensor([0.2, 1.0]), 1.0)
    prior = UserPrior(D, n_features, 2.0, 1.0)
    return MetaModel(items, prior, evidence, ClosedForm("gaussian"), Ranking(), 3.0)


@pytest.fixture(scope="module")
def histories() -> Histories:
    """Members of club 0 like the first half of the items, of club 1 the second; three to five events each."""
    rng = np.random.default_rng(0)
    lengths = 3 + np.arange(U) % 3
    items = [
        rng.choice(N // 2, n, replace=False) + N // 2 * club for n, club in zip(lengths, CLUB, strict=True)
    ]
    start = np.concatenate([[0], np.cumsum(lengths)])
    return Histories(start, np.concatenate(items), np.ones(start[-1], np.int64), np.full(start[-1], np.nan))


def test_ridge_is_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(40, 3)) + 5, rng.normal(size=(40, 2)) - 3
    expected = Ridge(alpha=7.0).fit(x, y).coef_.T
    np.testing.assert_allclose(ridge(torch.from_numpy(x), torch.from_numpy(y), 7.0), expected)


def test_posteriors_are_those_of_each_user_alone(histories: Histories) -> None:
    model = model_of(0)
    with torch.no_grad():
        together, view = posteriors(model, histories, U), model.view()
        for user in (0, 63, 64, U - 1):
            run = histories.of(user)
            alone = support_only(
                [histories.item_row[run]], [histories.signal[run]], np.zeros((1, 0), np.float32)
            )
            torch.testing.assert_close(together[user], model.adapt(view, torch.zeros(1, D), alone).w_BD[0])


def test_strangers_start_where_people_like_them_end_up(histories: Histories) -> None:
    model = model_of(2)
    start_prior(model, histories, np.eye(2, dtype=np.float32)[CLUB])
    stranger = support_only(
        [np.empty(0, np.int64)] * 2, [np.empty(0, np.int64)] * 2, np.eye(2, dtype=np.float32)
    )
    with torch.no_grad():
        scores = model.predict(model.view(), stranger)
    for club in (0, 1):
        own = scores[club].reshape(2, N // 2).mean(dim=1)
        assert own[club] > own[1 - club] + 0.1


def test_people_of_average_features_start_as_without_any(histories: Histories) -> None:
    model, x = model_of(2), np.eye(2, dtype=np.float32)[CLUB]
    start_prior(model, histories, x)
    average = torch.from_numpy(x).mean(dim=0, keepdim=True)
    torch.testing.assert_close(model.prior.mean(average), torch.zeros(1, D), atol=1e-6, rtol=0)


def test_without_features_nothing_is_changed(histories: Histories) -> None:
    model = model_of(0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    start_prior(model, histories, np.zeros((U, 0), np.float32))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
