"""Peers: the library's own answers, and a MAML loop whose gradients are those of its loss."""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from engine.data.episodes import EpisodeRules
from engine.data.histories import Histories
from engine.errors import ConfigError
from engine.evaluation.baselines.families import Family
from engine.evaluation.baselines.knowledge import Knowledge, learn
from engine.evaluation.baselines.scorer import Personal
from engine.evaluation.peers import implicit_models, maml_loop
from engine.evaluation.peers.maml_loop import Examples, Layers, adapt, logits, outer_loss, start

LIKED = np.array([False, True])
FITS = {
    "als": partial(implicit_models.fit_als, factors=8, regularization=1.0),
    "cosine": partial(implicit_models.fit_cosine, neighbours=12),
    "bm25": partial(implicit_models.fit_bm25, neighbours=12),
}


@pytest.fixture(scope="module")
def known(tastes: Histories) -> Knowledge:
    return learn(tastes, 24, LIKED, gap=4)


@pytest.fixture(scope="module")
def fitted(tastes: Histories, known: Knowledge) -> dict[str, Personal]:
    models = {name: fit(known) for name, fit in FITS.items() if _installed()}
    family = maml_loop.maml_family(tastes, np.zeros((60, 2), np.float32), EpisodeRules(LIKED, shots_max=6))
    return models | {"maml": family.fit(known, inner_lr=0.3, passes=16)}


def _installed() -> bool:
    try:
        import implicit  # noqa: F401
    except ImportError:
        return False
    return True


@pytest.fixture(params=[*FITS, "maml"])
def model(request: pytest.FixtureRequest, fitted: dict[str, Personal]) -> Personal:
    if request.param not in fitted:
        pytest.skip("the extra firstclick[peers] is not installed")
    return fitted[request.param]


@pytest.fixture
def episodes_of(make_episodes):
    """Episodes with the two features that the loop was trained with."""

    def make(support):
        made = make_episodes([[]] * len(support), support=support)
        return type(made)(**{**vars(made), "user_x": torch.zeros(len(support), 2)})

    return make


@pytest.mark.parametrize("events", ["liked", "seen"])
def test_a_batch_scores_like_each_user_alone(model: Personal, episodes_of, events) -> None:
    support = [[0, 3], [], [12], [20, 1, 2, 3]]
    together = model.score(episodes_of(support), events)
    alone = [model.score(episodes_of([row]), events)[0] for row in support]
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, np.stack(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [0, 10])
def test_two_likes_tell_the_kind_of_user(model: Personal, episodes_of, kind: int) -> None:
    scores = model.score(episodes_of([[kind, kind + 1]]), "liked")[0]
    own, other = np.arange(kind + 2, kind + 10), np.arange(10 - kind, 20 - kind)
    assert (scores[own][:, None] > scores[other]).mean() > 0.8  # of all pairs


@pytest.mark.parametrize("name", FITS)
def test_scores_are_those_of_the_librarys_recommend(fitted, make_episodes, name: str) -> None:
    """Items that the library leaves out of its answer score 0: no neighbour of theirs is in the support."""
    if name not in fitted:
        pytest.skip("the extra firstclick[peers] is not installed")
    peer, support = fitted[name], [3, 7, 21]
    row = csr_matrix((np.ones(3, np.float32), (np.zeros(3, int), support)), shape=(1, 24))
    ids, theirs = peer.model.recommend(
        0, row, N=24, recalculate_user=name == "als", filter_already_liked_items=False
    )
    expected = np.zeros(24)
    expected[ids] = theirs
    ours = peer.score(make_episodes([[]], support=[support]), "liked")[0]
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", implicit_models.IMPLICIT_FAMILIES, ids=lambda family: family.name)
def test_a_missing_library_is_named_with_its_extra(monkeypatch, known: Knowledge, family: Family) -> None:
    for module in ("implicit", "implicit.cpu.als", "implicit.nearest_neighbours"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=r"needs the library implicit.*firstclick\[peers\]"):
        family.fit(known, **family.settings(known)[0])


class TestMamlLoop:
    def problem(self) -> tuple[torch.Tensor, Layers, torch.Tensor, Examples, Examples]:
        """A prior and a user in float64, so that differences can be taken."""
        items, layers = start(9, 2, seed=1)
        items, layers = items.double().detach(), Layers(*(w.double().detach() for w in layers))
        support = Examples(torch.tensor([0, 4, 5]), torch.tensor([1.0, 0, 0]).double())
        query = Examples(torch.tensor([1, 2, 7, 8]), torch.tensor([1.0, 1, 0, 0]).double())
        return items, layers, torch.tensor([0.5, -1.0]).double(), support, query

    def test_the_outer_gradient_is_that_of_finite_differences(self) -> None:
        items, layers, user, support, query = self.problem()

        def loss(offset: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
            moved = layers._replace(offset=offset, out_H=out)
            moved = Layers(*(w.requires_grad_() for w in moved))
            return outer_loss(items, moved, user, support, query, inner_lr=0.2)

        start_at = (layers.offset.clone().requires_grad_(), layers.out_H.clone().requires_grad_())
        assert torch.autograd.gradcheck(loss, start_at, eps=1e-6, atol=1e-6)

    def test_without_second_order_the_outer_gradient_is_another(self) -> None:
        items, layers, user, support, query = self.problem()
        gradients = []
        for second_order in (True, False):
            prior = Layers(*(w.clone().requires_grad_() for w in layers))
            adapted = adapt(prior, items, user, support, 0.2, second_order)
            loss = (logits(adapted, items[query.item_S], user) * query.label_S).sum()
            gradients.append(torch.autograd.grad(loss, prior.out_H)[0])
        assert (gradients[0] - gradients[1]).abs().max() > 1e-3

    def test_adaptation_lowers_the_support_loss(self) -> None:
        items, layers, user, support, _ = self.problem()
        prior = Layers(*(w.requires_grad_() for w in layers))

        def loss(at: Layers) -> float:
            score = logits(at, items[support.item_S], user)
            return torch.nn.functional.binary_cross_entropy_with_logits(score, support.label_S).item()

        assert loss(adapt(prior, items, user, support, 0.1)) < loss(prior)

    def test_no_events_give_the_prior(self, fitted, episodes_of) -> None:
        model = fitted["maml"]
        with torch.no_grad():
            prior = logits(model.layers, model.items_ND, torch.zeros(2)).numpy()
        np.testing.assert_array_equal(model.score(episodes_of([[]]), "liked")[0], prior)

    def test_negatives_are_none_of_the_events(self) -> None:
        item, liked = np.array([2, 5, 7]), np.array([True, False, True])
        drawn = maml_loop.with_negatives(item, liked, 9, np.random.default_rng(0))
        assert drawn.item_S[:3].tolist() == [2, 5, 7]
        assert drawn.label_S.tolist() == [1, 0, 1] + [0] * (len(drawn.item_S) - 3)
        assert 0 < len(drawn.item_S) - 3 <= 2 * maml_loop.NEGATIVES
        assert not np.isin(drawn.item_S[3:], item).any()
