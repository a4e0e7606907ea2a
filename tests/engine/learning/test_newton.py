"""Newton's posterior mode against torch's own optimiser on the same loss."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from engine.learning.closed_form import posterior_dual
from engine.learning.gradient import bernoulli_loss, prior_pull_loss
from engine.learning.newton import posterior_newton

B, S, D = 3, 6, 4


def problem() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """w0, A0's factor, phi, y and c; the last user's last two events are padding."""
    torch.manual_seed(3)
    w0, phi = torch.randn(B, D).double(), torch.randn(B, S, D).double()
    root = torch.randn(D, D).double()
    factor = torch.linalg.cholesky(root @ root.T + torch.eye(D).double())
    wanted, precision = torch.rand(B, S).double(), 0.5 + torch.rand(B, S).double()
    precision[-1, -2:] = 0.0
    return w0, factor, phi, wanted, precision


def newton(w0: Tensor, factor: Tensor, phi: Tensor, y: Tensor, c: Tensor, steps: int) -> Tensor:
    spread = torch.cholesky_solve(phi.flatten(0, 1).T, factor).T.view_as(phi)
    return posterior_newton(w0, phi, y, c, partial(posterior_dual, w0, phi, spread), steps)


def test_newton_s_click_posterior_equals_an_optimiser_s_on_the_same_loss() -> None:
    w0, factor, phi, y, c = problem()

    def loss(w: Tensor) -> Tensor:
        users = [
            bernoulli_loss(phi[u] @ w[u], y[u], c[u]) + prior_pull_loss(w[u], w0[u], factor, 1.0)
            for u in range(B)
        ]
        return torch.stack(users).sum()

    found = w0.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([found], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14)

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss(found)
        value.backward()
        return value

    optimiser.step(closure)
    torch.testing.assert_close(newton(w0, factor, phi, y, c, 12), found.detach(), rtol=1e-6, atol=1e-8)


def test_the_usual_number_of_steps_is_enough_near_even_odds() -> None:
    w0, factor, phi, y, c = problem()
    few = posterior_newton(
        0.1 * w0,
        phi,
        y,
        c,
        partial(
            posterior_dual, 0.1 * w0, phi, torch.cholesky_solve(phi.flatten(0, 1).T, factor).T.view_as(phi)
        ),
    )
    torch.testing.assert_close(few, newton(0.1 * w0, factor, phi, y, c, 20), rtol=1e-5, atol=1e-6)


def test_no_steps_and_no_events_give_the_prior() -> None:
    w0, factor, phi, y, c = problem()
    assert torch.equal(newton(w0, factor, phi, y, c, 0), w0)
    assert torch.equal(newton(w0, factor, phi, y, torch.zeros_like(c), 4), w0)


def test_padding_has_no_gradient_and_the_rest_a_finite_one() -> None:
    w0, factor, phi, y, c = problem()
    phi.requires_grad_()
    newton(w0, factor, phi, y, c, 4).sum().backward()
    assert phi.grad is not None
    assert phi.grad.isfinite().all()
    assert not phi.grad[-1, -2:].any()
    assert phi.grad[0].any()
