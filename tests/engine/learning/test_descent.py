"""Adaptation by descent as the model uses it, beside the closed form and Reptile's formula."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.learning.descent import Descent
from engine.learning.inner_loop import ClosedForm, Posterior, Support

B, S, D, N, H = 3, 5, 4, 9, 6
SCALE = torch.ones(D)


def problem() -> tuple[Tensor, Support, Tensor, Tensor]:
    """w0, support, A0's factor and the catalogue; the last user has two events only."""
    torch.manual_seed(1)
    phi_ND = torch.randn(N, D)
    root = torch.randn(D, D)
    factor = torch.linalg.cholesky(root @ root.T / D + torch.eye(D))
    precision = 0.5 + torch.rand(B, S)
    precision[-1, 2:] = 0.0
    support = Support(phi_ND[torch.randint(N, (B, S))], torch.rand(B, S), precision)
    return torch.randn(B, D), support, factor, phi_ND


def descent(
    hidden: int = 0, steps: int = 5, inner_lr: float = 0.02, second: bool = True, learn: bool = False
) -> Descent:
    return Descent("gaussian", D, hidden, inner_lr, steps, second, learn, prior_pull=1.0)


def test_many_steps_reach_the_closed_form() -> None:
    w0, support, factor, _ = problem()
    exact = ClosedForm("gaussian")(w0, support, factor).w_BD
    torch.testing.assert_close(descent(steps=3000)(w0, support, factor).w_BD, exact, rtol=1e-3, atol=1e-3)


def test_many_steps_on_clicks_reach_newton() -> None:
    w0, support, factor, _ = problem()
    exact = ClosedForm("bernoulli")(0.1 * w0, support, factor).w_BD
    many = Descent("bernoulli", D, 0, 0.05, 2000, False, False, 1.0)(0.1 * w0, support, factor).w_BD
    torch.testing.assert_close(many, exact, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("hidden", [0, H])
def test_no_steps_score_as_the_prior(hidden: int) -> None:
    w0, support, factor, phi_ND = problem()
    inner = descent(hidden, steps=0)
    prior = inner.affinity(phi_ND, inner.start(w0), SCALE)
    assert torch.allclose(inner.affinity(phi_ND, inner(w0, support, factor), SCALE), prior, atol=1e-6)


@pytest.mark.parametrize("hidden", [0, H])
def test_padding_and_other_users_change_nothing(hidden: int) -> None:
    w0, support, factor, phi_ND = problem()
    inner = descent(hidden)
    together = inner.affinity(phi_ND, inner(w0, support, factor), SCALE)
    alone = Support(*(part[-1:, :2] for part in support))
    own = inner.affinity(phi_ND, inner(w0[-1:], alone, factor), SCALE)
    torch.testing.assert_close(together[-1:], own, rtol=1e-4, atol=1e-5)


def test_the_layers_above_the_embedding_adapt_as_by_hand() -> None:
    """One plain autograd step of w, head, weight and bias for one user."""
    w0, support, factor, phi_ND = problem()
    inner = descent(H, steps=1)
    params = [w0[0], inner.head_H, inner.weight_DH, inner.bias_H]
    own = [p.detach().clone().requires_grad_() for p in params]
    score = support.phi_BSD[0] @ own[0] + (support.phi_BSD[0] @ own[2] + own[3]).relu() @ own[1]
    loss = 0.5 * (support.precision_BS[0] * (support.target_BS[0] - score).square()).sum()
    gradients = torch.autograd.grad(loss, own)
    w, head, weight, bias = (p - 0.02 * g for p, g in zip(own, gradients, strict=True))
    expected = phi_ND @ w + (phi_ND @ weight + bias).relu() @ head
    found = inner.affinity(phi_ND, inner(w0, support, factor), SCALE)[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_first_and_second_order_agree_on_the_posterior_and_differ_in_the_gradient() -> None:
    w0, support, factor, phi_ND = problem()
    gradients, ends = [], []
    for second in (True, False):
        start = w0.clone().requires_grad_()
        end: Posterior = descent(second=second)(start, support, factor)
        ends.append(end.w_BD.detach())
        (end.w_BD @ phi_ND.T).square().sum().backward()
        gradients.append(start.grad)
    torch.testing.assert_close(*ends)
    assert not torch.allclose(*gradients, rtol=1e-2)


def test_learned_rates_have_gradients_and_fixed_ones_none() -> None:
    w0, support, factor, phi_ND = problem()
    for learn in (True, False):
        inner = descent(H, learn=learn)
        inner.affinity(phi_ND, inner(w0, support, factor), SCALE).square().sum().backward()
        rates = list(inner.inner_lr.values())
        assert all((rate.grad is not None and rate.grad.any()) == learn for rate in rates)


@pytest.mark.parametrize("hidden", [0, H])
def test_reptile_goes_where_users_went(hidden: int) -> None:
    """Its gradient is the start less the end of each user: theta - theta_u."""
    w0, support, factor, _ = problem()
    start, inner = w0.clone().requires_grad_(), descent(hidden)
    end = inner(start, support, factor)
    inner.reptile_loss(start, end).backward()
    torch.testing.assert_close(start.grad, (start - end.w_BD).detach())
    if hidden:
        moved = (inner.head_H - end.decision.head_BH).detach().sum(dim=0)
        torch.testing.assert_close(inner.head_H.grad, moved)
        assert inner.weight_DH.grad.any()
