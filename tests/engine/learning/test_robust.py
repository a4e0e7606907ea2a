"""Outlier weights against really leaving each event out."""

from __future__ import annotations

import torch

from engine.learning.closed_form import posterior_primal
from engine.learning.inner_loop import ClosedForm, Support
from engine.learning.robust import outlier_weights

S, D, DOF = 6, 4, 3.0


def test_weights_are_those_of_really_leaving_each_event_out() -> None:
    torch.manual_seed(0)
    w0, phi, t, c = torch.randn(1, D), torch.randn(1, S, D), torch.randn(1, S), 0.5 + torch.rand(1, S)
    root = torch.randn(D, D)
    a0 = root @ root.T + torch.eye(D)
    spread = torch.linalg.solve(a0, phi.mT).mT
    weights = outlier_weights(w0, phi, spread, t, c, DOF)
    for s in range(S):
        rest = torch.arange(S) != s
        w, a = posterior_primal(w0, a0, phi[:, rest], t[:, rest], c[:, rest])
        own = phi[0, s]
        variance = 1 / c[0, s] + own @ torch.linalg.solve(a[0], own)
        z2 = (t[0, s] - own @ w[0]).square() / variance
        torch.testing.assert_close(weights[0, s], (DOF + 1) / (DOF + z2), rtol=1e-4, atol=1e-5)


def test_a_contradicting_event_moves_the_posterior_less() -> None:
    """Four events agree on a direction, the last says the opposite."""
    phi = torch.eye(D)[:1].repeat(5, 1).unsqueeze(0) + 0.01
    target = torch.tensor([[1.0, 1.0, 1.0, 1.0, -4.0]])
    support = Support(phi, target, torch.full((1, 5), 2.0))
    w0, factor = torch.zeros(1, D), torch.eye(D)
    plain = ClosedForm("gaussian")(w0, support, factor).w_BD[0, 0]
    robust = ClosedForm("gaussian", robust=True)(w0, support, factor).w_BD[0, 0]
    assert plain < robust < 1


def test_padding_keeps_its_zero_precision() -> None:
    support = Support(torch.randn(1, 3, D), torch.ones(1, 3), torch.tensor([[1.0, 1.0, 0.0]]))
    short = Support(*(part[:, :2] for part in support))
    inner, w0, factor = ClosedForm("gaussian", robust=True), torch.zeros(1, D), torch.eye(D)
    torch.testing.assert_close(inner(w0, support, factor).w_BD, inner(w0, short, factor).w_BD)
