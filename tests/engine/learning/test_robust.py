"""What other events foresaw, against really leaving each event out; and what is made of it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from engine.config import load_config
from engine.data.dataset import Dataset
from engine.learning.assemble import model_from_state
from engine.learning.closed_form import posterior_primal
from engine.learning.experiment import set_up
from engine.learning.inner_loop import ClosedForm, Support
from engine.learning.meta import doubted
from engine.learning.robust import Choices, Credence, LeftOut, Tails, leave_each_out
from engine.learning.setup import build_model, build_training
from tests.small import SMALL

S, D = 6, 4


def test_residuals_are_those_of_really_leaving_each_event_out() -> None:
    torch.manual_seed(0)
    w0, phi, t, c = torch.randn(1, D), torch.randn(1, S, D), torch.randn(1, S), 0.5 + torch.rand(1, S)
    root = torch.randn(D, D)
    a0 = root @ root.T + torch.eye(D)
    left_out = leave_each_out(w0, phi, torch.linalg.cholesky(a0), t, c)
    for s in range(S):
        rest = torch.arange(S) != s
        w, a = posterior_primal(w0, a0, phi[:, rest], t[:, rest], c[:, rest])
        own = phi[0, s]
        variance = 1 / c[0, s] + own @ torch.linalg.solve(a[0], own)
        torch.testing.assert_close(left_out.residual_BS[0, s], t[0, s] - own @ w[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(left_out.precision_BS[0, s], 1 / variance, rtol=1e-4, atol=1e-5)


def test_a_contradicting_number_moves_the_posterior_less() -> None:
    """Four events agree on a direction, the last says the opposite."""
    phi = torch.eye(D)[:1].repeat(5, 1).unsqueeze(0) + 0.01
    target = torch.tensor([[1.0, 1.0, 1.0, 1.0, -4.0]])
    support = Support(phi, target, torch.full((1, 5), 2.0))
    w0, factor = torch.zeros(1, D), torch.eye(D)
    plain = ClosedForm("gaussian")(w0, support, factor).w_BD[0, 0]
    item, choices = torch.zeros(1, 5, dtype=torch.int64), Choices.of(torch.eye(D), torch.zeros(D))
    less, own = doubted(Tails(), w0, support, item, choices, factor)
    assert own is None
    robust = ClosedForm("gaussian")(w0, less, factor).w_BD[0, 0]
    assert plain < robust < 1


def test_all_events_together_give_the_posterior() -> None:
    torch.manual_seed(0)
    w0, phi, t, c = torch.randn(2, D), torch.randn(2, S, D), torch.randn(2, S), 0.5 + torch.rand(2, S)
    c[1, 2:] = 0.0
    w = leave_each_out(w0, phi, torch.eye(D), t, c).w_BD
    torch.testing.assert_close(w, posterior_primal(w0, torch.eye(D), phi, t, c)[0])


def choices_of(popularity: torch.Tensor) -> Choices:
    """Items without any likeness, of which nobody's score says anything."""
    return Choices(popularity, torch.zeros(D), torch.zeros(D, D))


def test_credence_is_bayes_rule() -> None:
    """At the start: a tenth of all events are uniform over the catalogue, the others drawn by softmax."""
    scale, popularity, foreseen = 3.0, torch.tensor([-2.0, 0.0, 1.5]), torch.tensor([[0.1, 0.0, 0.4]])
    target, item = torch.ones(1, 3), torch.arange(3)[None]
    left_out = LeftOut(target - foreseen, target, torch.zeros(1, D))
    weights = Credence(scale)(left_out, target, item, choices_of(popularity))
    times_likelier = (popularity + scale * foreseen).exp()  # than by chance
    expected = 0.9 * times_likelier / (0.9 * times_likelier + 0.1)
    torch.testing.assert_close(weights.own_BS, expected)
    torch.testing.assert_close(weights.precision_BS, expected)


def test_what_is_usual_is_the_normaliser_of_the_ranking() -> None:
    """Of many items whose embeddings are normal the second order is all there is."""
    torch.manual_seed(0)
    phi, base, w, scale = 0.3 * torch.randn(200_000, D), torch.randn(200_000), torch.randn(3, D), 2.0
    exact = (base.log_softmax(0) + scale * w @ phi.T).logsumexp(dim=1, keepdim=True) / scale
    usual = Choices.of(phi, base).usual(w, torch.tensor(scale))
    torch.testing.assert_close(usual, exact, rtol=0.03, atol=0.01)


def test_an_item_that_everyone_like_the_user_chooses_is_no_proof() -> None:
    """The same score says less of someone whose other scores are high, too."""
    left_out = LeftOut(torch.zeros(2, 1), torch.ones(2, 1), torch.tensor([[0.1] * D, [2.0] * D]))
    choices = Choices(torch.zeros(1), torch.zeros(D), torch.eye(D))
    own = Credence(3.0)(left_out, torch.ones(2, 1), torch.zeros(2, 1, dtype=torch.int64), choices).own_BS
    assert own is not None
    assert own[1] < own[0]


def test_what_is_rare_can_be_learned_to_tell_more() -> None:
    credence = Credence(3.0)
    with torch.no_grad():
        credence.numbers[:] = torch.tensor([0.0, 0.0, 0.0, 0.5])
    left_out = LeftOut(torch.zeros(1, 2), torch.ones(1, 2), torch.zeros(1, D))
    choices = choices_of(torch.tensor([-2.0, 2.0]))
    weights = credence(left_out, torch.zeros(1, 2), torch.tensor([[0, 1]]), choices)
    torch.testing.assert_close(weights.precision_BS, torch.tensor([[0.5 * math.e, 0.5 / math.e]]))
    assert weights.own_BS is not None
    torch.testing.assert_close(weights.own_BS, torch.full((1, 2), 0.5))


@pytest.mark.parametrize("doubt", [Tails(), Credence(3.0)])
def test_padding_changes_nothing(doubt: Tails | Credence) -> None:
    support = Support(torch.randn(1, 3, D), torch.ones(1, 3), torch.tensor([[1.0, 1.0, 0.0]]))
    short = Support(*(part[:, :2] for part in support))
    w0, item, factor = torch.zeros(1, D), torch.tensor([[0, 1, 2]]), torch.eye(D)
    choices = Choices.of(torch.randn(3, D), torch.randn(3))
    padded, _ = doubted(doubt, w0, support, item, choices, factor)
    alone, _ = doubted(doubt, w0, short, item[:, :2], choices, factor)
    assert padded.precision_BS[0, 2] == 0
    torch.testing.assert_close(padded.precision_BS[:, :2], alone.precision_BS)


def test_an_older_artifact_doubts_as_it_was_trained_to(checkerboard_data: Path) -> None:
    """Without the normaliser, and the ridge believes every event."""
    options = [*SMALL, "outer.passes=1", "inner.robust=true"]
    experiment = set_up(Dataset.load(checkerboard_data), load_config(None, options))
    state = build_model(experiment).eval().state_dict()
    del state["doubt.normalised"]
    older = model_from_state(state, experiment.config)
    episodes = experiment.held_out(experiment.split.test).episodes[5]
    with torch.inference_mode():
        view, w0_BD = older.view(), older.prior.mean(episodes.user_x)
        assert older.adapt(view, w0_BD, episodes).own_BS is None


@pytest.mark.parametrize(
    "options",
    [[], ["objective=click"], ["inner.method=gradient"], ["inner.method=gradient", "inner.scope=decision"]],
)
def test_every_way_of_adapting_learns_whom_to_believe(checkerboard_data: Path, options: list[str]) -> None:
    options = [*SMALL, "outer.passes=1", "inner.robust=true", "episodes.event_noise=0.1", *options]
    experiment = set_up(Dataset.load(checkerboard_data), load_config(None, options))
    model = build_model(experiment)
    assert isinstance(model.doubt, Credence)
    before = model.doubt.numbers.detach().clone()
    list(build_training(experiment, model).run())
    assert (model.doubt.numbers != before).all()
    episodes = experiment.held_out(experiment.split.test).episodes[5]
    again = model_from_state(model.eval().state_dict(), experiment.config)
    with torch.inference_mode():
        assert torch.equal(again.predict(again.view(), episodes), model.predict(model.view(), episodes))
