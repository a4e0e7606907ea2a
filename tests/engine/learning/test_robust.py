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
from engine.learning.meta import View, doubted
from engine.learning.robust import Choices, Credence, LeftOut, Tails, leave_each_out
from engine.learning.setup import build_model, build_training
from tests.small import SMALL

S, D = 6, 4


def view_of(phi: torch.Tensor) -> View:
    """Items that are chosen alike often."""
    base = torch.zeros(len(phi))
    return View(phi, base, base == 0, torch.eye(D), None, Choices.of(phi, base))


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
        torch.testing.assert_close(left_out.w_BSD[0, s], w[0], rtol=1e-4, atol=1e-4)


def test_a_contradicting_number_moves_the_posterior_less() -> None:
    """Four events agree on a direction, the last says the opposite."""
    phi = torch.eye(D)[:1].repeat(5, 1).unsqueeze(0) + 0.01
    target = torch.tensor([[1.0, 1.0, 1.0, 1.0, -4.0]])
    support = Support(phi, target, torch.full((1, 5), 2.0))
    w0, factor = torch.zeros(1, D), torch.eye(D)
    plain = ClosedForm("gaussian")(w0, support, factor).w_BD[0, 0]
    less, own = doubted(Tails(), w0, support, torch.zeros(1, 5, dtype=torch.int64), view_of(torch.eye(D)))
    assert own is None
    robust = ClosedForm("gaussian")(w0, less, factor).w_BD[0, 0]
    assert plain < robust < 1


def test_credence_is_bayes_rule() -> None:
    """At the start: a tenth of all events are uniform over the catalogue, the others drawn by softmax.

    Where embeddings are nearly normal, the second order is nearly all of the softmax's normaliser.
    """
    torch.manual_seed(0)
    n_items, scale = 50_000, 2.0
    phi, base, w = 0.3 * torch.randn(n_items, D), torch.randn(n_items), torch.randn(1, S, D)
    item, target = torch.arange(S)[None], torch.ones(1, S)
    foreseen = (w * phi[item]).sum(dim=-1)
    left_out = LeftOut(target - foreseen, target, w)
    weights = Credence(scale)(left_out, target, item, Choices.of(phi, base))
    chosen = (base + scale * w[0] @ phi.T).softmax(dim=1)[torch.arange(S), torch.arange(S)]
    expected = 0.9 * chosen / (0.9 * chosen + 0.1 / n_items)
    assert expected.min() < 0.5 < 0.9 < expected.max()
    assert weights.own_BS is not None
    torch.testing.assert_close(weights.own_BS[0], expected, rtol=0.03, atol=0.01)
    torch.testing.assert_close(weights.precision_BS, weights.own_BS)


def test_what_is_rare_can_be_learned_to_tell_more() -> None:
    credence = Credence(3.0)
    with torch.no_grad():
        credence.numbers[:] = torch.tensor([0.0, 0.0, 0.0, 0.5])
    left_out = LeftOut(torch.zeros(1, 2), torch.ones(1, 2), torch.zeros(1, 2, D))
    choices = Choices(torch.tensor([-2.0, 2.0]), torch.zeros(D), torch.zeros(D, D))
    weights = credence(left_out, torch.zeros(1, 2), torch.tensor([[0, 1]]), choices)
    torch.testing.assert_close(weights.precision_BS, torch.tensor([[0.5 * math.e, 0.5 / math.e]]))
    assert weights.own_BS is not None
    torch.testing.assert_close(weights.own_BS, torch.full((1, 2), 0.5))


@pytest.mark.parametrize("doubt", [Tails(), Credence(3.0)])
def test_padding_changes_nothing(doubt: Tails | Credence) -> None:
    support = Support(torch.randn(1, 3, D), torch.ones(1, 3), torch.tensor([[1.0, 1.0, 0.0]]))
    short = Support(*(part[:, :2] for part in support))
    w0, item, view = torch.zeros(1, D), torch.tensor([[0, 1, 2]]), view_of(torch.randn(3, D))
    padded, _ = doubted(doubt, w0, support, item, view)
    alone, _ = doubted(doubt, w0, short, item[:, :2], view)
    assert padded.precision_BS[0, 2] == 0
    torch.testing.assert_close(padded.precision_BS[:, :2], alone.precision_BS)


def test_an_older_artifact_doubts_as_it_was_trained_to(checkerboard_data: Path) -> None:
    """Without the normaliser, and the ridge believes every event."""
    options = [*SMALL, "outer.passes=1", "inner.robust=true"]
    experiment = set_up(Dataset.load(checkerboard_data), load_config(None, options))
    state = build_model(experiment).eval().state_dict()
    del state["doubt.normalised"]
    older = model_from_state(state, experiment.config)
    assert isinstance(older.doubt, Credence)
    left_out = LeftOut(torch.tensor([[0.7, 0.2]]), torch.ones(1, 2), torch.randn(1, 2, D))
    choices = Choices(torch.tensor([-1.0, 2.0]), torch.randn(D), torch.eye(D))
    weights = older.doubt(left_out, torch.ones(1, 2), torch.tensor([[0, 1]]), choices)
    odds, popularity, foresight, _ = older.doubt.numbers
    believed = (odds + popularity * choices.popularity_N + foresight * torch.tensor([0.3, 0.8])).sigmoid()
    torch.testing.assert_close(weights.precision_BS[0], believed)
    assert weights.own_BS is None


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
