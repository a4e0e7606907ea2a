"""The outer loss and its parts on small hand-made models."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.autograd import grad

from engine.config import Config
from engine.data.episodes import Episodes, support_only
from engine.learning import like_shots
from engine.learning.assemble import model_from_state
from engine.learning.evidence import Evidence, log2_group
from engine.learning.inner_loop import ClosedForm, Posterior
from engine.learning.items import ItemRepresentation, predicted
from engine.learning.meta import MetaModel
from engine.learning.noise import Dropout, draw_noise, rows_of
from engine.learning.objectives import Likelihood, Ranking
from engine.learning.prior import UserPrior, gram
from engine.learning.robust import Credence

N, D, F, R = 12, 4, 3, 2
NO_FEATURES = np.zeros((1, F), np.float32)


@pytest.fixture
def model() -> MetaModel:
    """Nothing at its start value, so that no term can hide; the last two items are cold."""
    torch.manual_seed(0)
    warm = torch.arange(N) < N - 2
    items = ItemRepresentation.start(torch.randn(N, D), torch.randn(N), warm, torch.randn(N, 2))
    evidence = Evidence(torch.tensor([0.2, 1.0]), 1.0)
    model = MetaModel(items, UserPrior(D, F, 2.0, 1.0), evidence, ClosedForm("gaussian"), Ranking(), 3.0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def support(*items: int, signals: tuple[int, ...] | None = None) -> Episodes:
    marks = np.array(signals if signals is not None else [1] * len(items), dtype=np.int64)
    return support_only([np.array(items, dtype=np.int64)], [marks], NO_FEATURES)


def predict(model: MetaModel, episodes: Episodes) -> torch.Tensor:
    with torch.inference_mode():
        return model.predict(model.view(), episodes)


def test_no_events_give_the_prior(model: MetaModel) -> None:
    with torch.inference_mode():
        view = model.view()
        expected = model.score(view, Posterior(model.prior.mean(torch.zeros(1, F))), torch.zeros(1))
    assert torch.equal(predict(model, support()), expected)


def test_a_batch_of_ragged_users_equals_each_alone(model: MetaModel) -> None:
    users = [(), (3,), (1, 5, 2), (7, 7)]
    rows = [np.array(u, dtype=np.int64) for u in users]
    batch = support_only(rows, [np.ones(len(u), np.int64) for u in users], np.zeros((4, F), np.float32))
    for together, user in zip(predict(model, batch), users, strict=True):
        torch.testing.assert_close(together, predict(model, support(*user))[0])


@pytest.mark.parametrize("doubt", [None, Credence(3.0)], ids=["plain", "robust"])
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_users_adapt_in_groups_as_they_would_together(
    model: MetaModel, monkeypatch: pytest.MonkeyPatch, likelihood: Likelihood, doubt: Credence | None
) -> None:
    """Values and gradients, some groups in the primal; see `like_shots`."""
    model.inner, model.doubt = ClosedForm(likelihood), doubt
    rng, model = np.random.default_rng(0), model.double()
    rows = [rng.integers(0, N - 2, shots) for shots in rng.integers(0, 2 * D + 1, 64)]
    marks = [rng.integers(0, R, len(row)) for row in rows]
    episodes = support_only(rows, marks, rng.normal(size=(64, F)))

    def adapted() -> tuple[torch.Tensor, ...]:
        posterior = model.adapt(model.view(), model.prior.mean(episodes.user_x), episodes)
        learned = [*model.prior.parameters(), *model.evidence.parameters()]
        return posterior.w_BD, *grad(posterior.w_BD.square().sum(), learned, allow_unused=True)

    assert len(like_shots.like_shots(episodes.shots)) > 1
    in_groups = adapted()
    monkeypatch.setattr(like_shots, "FEW", 1000)
    torch.testing.assert_close(in_groups, adapted())


def test_more_events_than_dimensions_are_solved_in_the_primal_with_equal_result(model: MetaModel) -> None:
    """A padded batch is wide enough for the primal; the same user alone is solved in the dual."""
    long, short = np.arange(D + 3), np.arange(D)
    marks = [np.ones(len(rows), np.int64) for rows in (long, short)]
    batch = support_only([long, short], marks, np.zeros((2, F), np.float32))
    torch.testing.assert_close(predict(model, batch)[1], predict(model, support(*short))[0])


def test_cold_items_are_scored_by_their_features(model: MetaModel) -> None:
    items = model.items
    with torch.no_grad():
        items.log_cold_gain_2.copy_(torch.tensor([0.3, -0.2]))
    view = model.view()
    placed = items.imputed_ND[-2:] * math.exp(0.3) * items.gain() + items.x_NF[-2:] @ items.encoder_FD
    torch.testing.assert_close(view.phi_ND[-2:], placed)
    base = items.imputed_base_N[-2:] + items.x_NF[-2:] @ items.cold_base_F
    torch.testing.assert_close(view.base_N[-2:], base)


def test_an_older_artifact_s_cold_items_are_stretched_like_warm_ones(model: MetaModel) -> None:
    state = model.state_dict()
    del state["items.log_cold_gain_2"], state["items.cold_group_D"]
    assert (model_from_state(state, Config()).items.cold_gain() == 1).all()


def test_imputed_places_follow_the_features_of_the_known() -> None:
    """What is linear in the features is recovered; without features it is the known ones' mean."""
    x = torch.randn(400, 3)
    y = x @ torch.tensor([[2.0], [0.0], [-1.0]]) + 5
    known = torch.arange(400) < 390
    torch.testing.assert_close(predicted(x, y, known)[-10:], y[-10:], rtol=0.1, atol=0.15)
    nothing = predicted(torch.empty(400, 0), y, known)
    torch.testing.assert_close(nothing[-10:], y[known].mean().expand(10, 1))


def test_hidden_items_look_like_cold_ones(model: MetaModel) -> None:
    hidden = torch.arange(N) == 4
    view, full = model.view(hidden), model.view()
    items = model.items
    placed = items.imputed_ND[4] * items.cold_gain() * items.gain() + items.x_NF[4] @ items.encoder_FD
    torch.testing.assert_close(view.phi_ND[4], placed)
    torch.testing.assert_close(view.phi_ND[5], full.phi_ND[5])


def test_gram_has_the_value_and_the_gradient_of_the_product() -> None:
    phi = torch.randn(N, D, requires_grad=True)
    slope = torch.randn(D, D)
    torch.testing.assert_close(gram(phi), phi.T @ phi)
    torch.testing.assert_close(grad(gram(phi), phi, slope), grad(phi.T @ phi, phi, slope))


def test_groups_double() -> None:
    ages = torch.tensor([0, 1, 2, 3, 6, 7, 14, 15, 254, 255, 10_000])
    assert log2_group(ages).tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 7, 8, 8]


def test_recency_lets_old_events_fade() -> None:
    evidence = Evidence(torch.ones(R), 1.0)
    with torch.no_grad():
        evidence.recency_A.copy_(-torch.arange(len(evidence.recency_A)))
    signal = torch.zeros(1, 3, dtype=torch.int64)
    together = torch.zeros(1, 3)
    _, precision = evidence(signal, torch.tensor([[5, 1, 0]]), together, torch.ones(1, 3, dtype=torch.bool))
    assert precision[0].tolist() == sorted(precision[0].tolist())


def precisions(evidence: Evidence, *hours: float) -> list[float]:
    """Of events that differ in elapsed time alone."""
    same = torch.zeros(1, len(hours), dtype=torch.int64)
    precision_BS = evidence(same, same, torch.tensor([hours]), same == 0)[1]
    return [float(c) for c in precision_BS[0].detach()]


def test_events_of_equal_age_count_less_the_older_they_are() -> None:
    evidence = Evidence(torch.ones(R), 1.0)
    with torch.no_grad():
        evidence.elapsed_H.copy_(-torch.arange(1.0, 1.0 + len(evidence.elapsed_H)))
    fresh, hour, hours, day, year, decade = precisions(evidence, 0.9, 1.0, 3.0, 24.0, 8766.0, 87660.0)
    assert fresh > hour > hours > day > year > decade > 0
    assert precisions(evidence, 87660.0) == precisions(evidence, 1e8)  # the last group is open


def test_unknown_times_add_nothing() -> None:
    evidence = Evidence(torch.ones(R), 1.0)
    before = precisions(evidence, math.nan)
    with torch.no_grad():
        evidence.elapsed_H.fill_(-2.0)
    assert precisions(evidence, math.nan) == precisions(evidence, 0.0) == before
    assert precisions(evidence, 1.0) < before


def test_population_weight_adds_the_loss_of_the_unadapted_prior(model: MetaModel) -> None:
    pairs = {"query_user": torch.tensor([0]), "query_item": torch.tensor([2])}
    shown, unshown = (Episodes(**{**vars(e), **pairs}) for e in (support(3, 4), support()))
    quiet = draw_noise(Dropout(0, 0, 0), (0,), 1, F, N, D)
    adapted, prior = model(shown, None, quiet, "maml", 0.0), model(unshown, None, quiet, "maml", 0.0)
    torch.testing.assert_close(model(shown, None, quiet, "maml", 0.5), adapted + 0.5 * prior)


def test_items_without_events_are_no_rivals_while_training(model: MetaModel) -> None:
    """However well the last two items would score, the loss is the same."""
    pairs = {"query_user": torch.tensor([0]), "query_item": torch.tensor([2])}
    episodes = Episodes(**{**vars(support(3, 4)), **pairs})
    quiet = draw_noise(Dropout(0, 0, 0), (0,), 1, F, N, D)
    before = model(episodes, None, quiet, "maml", 0.5)
    model.items.imputed_base_N[-2:] += 5.0
    assert torch.equal(model(episodes, None, quiet, "maml", 0.5), before)


def test_every_parameter_learns(model: MetaModel) -> None:
    """A parameter without a gradient is dead weight."""
    known = {
        "support_elapsed": torch.tensor([[30.0, 0.0]]),
        "query_user": torch.tensor([0]),
        "query_item": torch.tensor([2]),
    }
    episodes = Episodes(**{**vars(support(3, 4)), **known})
    noise = draw_noise(Dropout(0.0, 0.0, 0.3), (1,), 1, F, N, D)
    model(Episodes(**{**vars(episodes), "user_x": torch.ones(1, F)}), None, noise, "maml", 0.0).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_noise_of_a_worker_is_its_rows_of_the_noise_of_the_step() -> None:
    shares = Dropout(0.5, 0.3, 0.1)
    whole = draw_noise(shares, (1, 2, 3), 7, F, N, D)
    part = rows_of(draw_noise(shares, (1, 2, 3), 7, F, N, D), slice(1, None, 2))
    assert torch.equal(part.posterior_BD, whole.posterior_BD[1::2])
    assert torch.equal(part.hidden_N, whole.hidden_N)
    assert not torch.equal(draw_noise(shares, (1, 2, 4), 7, F, N, D).posterior_BD, whole.posterior_BD)


def test_a_model_is_rebuilt_from_its_state(model: MetaModel) -> None:
    again = model_from_state(model.state_dict(), Config())
    assert torch.equal(predict(again, support(1, 2)), predict(model, support(1, 2)))


def test_a_state_with_a_missing_tensor_is_refused(model: MetaModel) -> None:
    state = dict(model.state_dict())
    del state["prior.x_mean_F"]
    with pytest.raises(RuntimeError, match=r"prior\.x_mean_F"):
        model_from_state(state, Config())
