"""Equalities of adaptation by gradient: vmapped == looped, no steps == the prior, many == the closed form."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.func import grad, vmap
from torch.testing import assert_close

from engine.errors import ConfigError
from engine.learning.closed_form import posterior_dual, posterior_primal
from engine.learning.gradient import (
    COEFFICIENTS,
    Affine,
    Params,
    adapt,
    adapt_users,
    adapt_users_dual,
    affine_dual,
    bernoulli_loss,
    gaussian_loss,
    output_dual,
    prior_pull_loss,
)
from engine.learning.reptile import put_gradients, reptile_direction, reptile_loss

B, S, D, H = 3, 5, 4, 6
STEPS, RATE = 3, torch.tensor(0.2, dtype=torch.float64)


class Support(NamedTuple):
    """What the inner loss sees of users."""

    phi: Tensor
    wanted: Tensor
    precision: Tensor


class Problem(NamedTuple):
    """Layers that users share, where each user's head starts, and what they did."""

    shared: Params
    w0: Tensor
    support: Support


@pytest.fixture
def problem() -> Problem:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    wanted = (normal(B, S) > 0).double()
    support = Support(normal(B, S, D), wanted, torch.rand(B, S, generator=generator).double() + 0.1)
    return Problem({"weight": normal(D, H), "bias": normal(H)}, normal(B, H), support)


def above_first(params: Params, z_SH: Tensor, support: Support) -> Tensor:
    return bernoulli_loss(z_SH.tanh() @ params["w"], support.wanted, support.precision)


def click_loss(params: Params, support: Support) -> Tensor:
    """The decision scope: a hidden layer, then the head."""
    return above_first(params, support.phi @ params["weight"] + params["bias"], support)


def rating_loss(params: Params, support: Support) -> Tensor:
    """The head alone."""
    return gaussian_loss(support.phi @ params["w"], support.wanted, support.precision)


def quadratic(params: Params, support: tuple[Tensor, ...]) -> Tensor:
    return 0.5 * (params["theta"] - support[0]).square().sum()


def user(problem: Problem, row: int) -> tuple[Params, Support]:
    return {**problem.shared, "w": problem.w0[row]}, Support(*(tensor[row] for tensor in problem.support))


def looped(start: Params, support: Support, second_order: bool) -> Params:
    """MAML as it is usually written: autograd, one user at a time."""
    names, values = list(start), [value.clone().requires_grad_() for value in start.values()]
    for _ in range(STEPS):
        loss = click_loss(dict(zip(names, values, strict=True)), support)
        slopes = torch.autograd.grad(loss, values, create_graph=second_order)
        values = [value - RATE * slope for value, slope in zip(values, slopes, strict=True)]
    return dict(zip(names, values, strict=True))


def adapted(
    problem: Problem, steps: int = STEPS, second_order: bool = True, inner_lr: Tensor | Params = RATE
) -> Params:
    own = {"w": problem.w0}
    return adapt_users(click_loss, problem.shared, own, problem.support, inner_lr, steps, second_order)


def adapted_dual(
    problem: Problem, steps: int = STEPS, second_order: bool = True, inner_lr: Tensor | Params = RATE
) -> Params:
    where = (first_layer(problem), problem.support.phi, {}, {"w": problem.w0}, problem.support)
    return adapt_users_dual(above_first, *where, inner_lr, steps, second_order)


def adapted_dual_explicit(problem: Problem, second_order: bool = True) -> Params:
    """The parameters that a descent in the dual stands for."""
    dual = adapted_dual(problem, second_order=second_order)
    phi = problem.support.phi if second_order else problem.support.phi.detach()
    weight, bias = vmap(affine_dual, (None, 0, 0))(first_layer(problem), phi, dual[COEFFICIENTS])
    return {"weight": weight, "bias": bias, "w": dual["w"]}


def adapted_in_a_loop(problem: Problem, second_order: bool = True) -> Params:
    """User by user, by torch.func."""
    users = [user(problem, row) for row in range(B)]
    ends = [adapt(partial(click_loss, support=s), start, RATE, STEPS, second_order) for start, s in users]
    return {name: torch.stack([end[name] for end in ends]) for name in ends[0]}


def first_layer(problem: Problem) -> Affine:
    return Affine(problem.shared["weight"], problem.shared["bias"])


def outer_gradients(problem: Problem, posterior: Callable[[Problem], Params]) -> tuple[Tensor, ...]:
    """With respect to all that is meta-learned, the support's embeddings and precisions included."""
    leaves = tuple(leaf.clone().requires_grad_() for leaf in meta_learned(problem))
    params = posterior(with_leaves(problem, *leaves))
    loss = vmap(click_loss)(params, Support(*(tensor.flip(0) for tensor in problem.support))).sum()
    return torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)


def meta_learned(problem: Problem) -> tuple[Tensor, ...]:
    return (*problem.shared.values(), problem.w0, problem.support.phi, problem.support.precision)


def with_leaves(
    problem: Problem, weight: Tensor, bias: Tensor, w0: Tensor, phi: Tensor, precision: Tensor
) -> Problem:
    support = Support(phi, problem.support.wanted, precision)
    return Problem({"weight": weight, "bias": bias}, w0, support)


@pytest.mark.parametrize("second_order", [True, False])
def test_vmapped_equals_looped(problem: Problem, second_order: bool) -> None:
    together = adapted(problem, second_order=second_order)
    for row in range(B):
        start, support = user(problem, row)
        for name, value in looped(start, support, second_order).items():
            assert_close(together[name][row], value.detach())


@pytest.mark.parametrize("second_order", [True, False])
def test_descent_in_the_dual_equals_descent(problem: Problem, second_order: bool) -> None:
    """The posterior, and what it gives elsewhere."""
    plain = adapted(problem, second_order=second_order)
    as_plain = adapted_dual_explicit(problem, second_order)
    for name, value in plain.items():
        assert_close(as_plain[name], value)
    elsewhere = torch.linspace(-1, 1, 2 * D, dtype=torch.float64).view(2, D)
    coefficients = adapted_dual(problem, second_order=second_order)[COEFFICIENTS]
    shown = output_dual(elsewhere, first_layer(problem), problem.support.phi, coefficients)
    assert_close(shown, elsewhere @ plain["weight"] + plain["bias"].unsqueeze(1))


@pytest.mark.parametrize("second_order", [True, False])
@pytest.mark.parametrize("posterior", [adapted_in_a_loop, adapted_dual_explicit])
def test_outer_gradients_equal_those_of_a_loop_and_of_the_dual(
    problem: Problem, posterior: Callable[..., Params], second_order: bool
) -> None:
    ways = (partial(way, second_order=second_order) for way in (posterior, adapted))
    for ours, theirs in zip(*(outer_gradients(problem, way) for way in ways), strict=True):
        assert_close(ours, theirs)


def test_no_steps_and_no_events_are_the_prior_exactly(problem: Problem) -> None:
    nothing = Support(*(tensor[:, :0] for tensor in problem.support))
    assert torch.equal(adapted(problem._replace(support=nothing))["w"], problem.w0)
    params = adapted(problem, steps=0)
    assert torch.equal(params["w"], problem.w0)
    for name, value in problem.shared.items():
        assert torch.equal(params[name], value.expand(B, *value.shape))
    assert not adapted_dual(problem, steps=0)[COEFFICIENTS].any()


def test_no_users_are_no_posteriors(problem: Problem) -> None:
    """A worker may be left without users in the last step of a pass."""
    nobody = Problem(problem.shared, problem.w0[:0], Support(*(t[:0] for t in problem.support)))
    assert adapted(nobody)["weight"].shape == (0, D, H)
    assert adapted_dual(nobody)[COEFFICIENTS].shape == (0, S, H)


@pytest.mark.parametrize("posterior", [adapted, adapted_dual])
def test_padding_changes_nothing(problem: Problem, posterior: Callable[[Problem], Params]) -> None:
    phi, wanted, precision = problem.support
    padded = Support(
        torch.cat([phi, 7 * torch.ones_like(phi[:, :2])], dim=1),
        torch.cat([wanted, torch.ones_like(wanted[:, :2])], dim=1),
        torch.cat([precision, torch.zeros_like(precision[:, :2])], dim=1),
    )
    more, params = posterior(problem._replace(support=padded)), posterior(problem)
    assert_close(more["w"], params["w"])
    if COEFFICIENTS in more:
        assert not more[COEFFICIENTS][:, S:].any()


@pytest.mark.parametrize("posterior", [adapted, adapted_dual])
def test_second_order_outer_gradient_equals_finite_differences(
    problem: Problem, posterior: Callable[..., Params]
) -> None:
    """With respect to shared layers, heads, embeddings, precisions and the inner rate itself."""

    def outer(rate: Tensor, *leaves: Tensor) -> Tensor:
        params = posterior(with_leaves(problem, *leaves), inner_lr=rate)
        return torch.stack([value.square().sum() for value in params.values()]).sum()

    leaves = tuple(leaf.clone().requires_grad_() for leaf in (RATE, *meta_learned(problem)))
    assert gradcheck(outer, leaves, fast_mode=True)


@pytest.mark.parametrize("second_order", [True, False])
def test_outer_gradient_on_a_quadratic_by_hand(second_order: bool) -> None:
    """1/2 |theta - a|^2: theta_k - a = (1 - rate)^k (theta - a). FOMAML drops the factor (1 - rate)^k."""
    theta, a, b = torch.randn(3, 4, dtype=torch.float64)
    theta.requires_grad_()
    end = adapt(partial(quadratic, support=(a,)), {"theta": theta}, RATE, STEPS, second_order)
    shrunk = (1 - RATE) ** STEPS
    assert_close(end["theta"], a + shrunk * (theta - a))
    (gradient,) = torch.autograd.grad(0.5 * (end["theta"] - b).square().sum(), theta)
    assert_close(gradient, (end["theta"] - b).detach() * (shrunk if second_order else 1.0))


def test_first_order_differs_from_second_but_ends_at_the_same_posterior(problem: Problem) -> None:
    first, second = (outer_gradients(problem, partial(adapted, second_order=o)) for o in (False, True))
    assert_close(adapted(problem, second_order=False), adapted(problem))
    assert all(not torch.allclose(a, b, rtol=1e-2) for a, b in zip(first, second, strict=True))
    assert not any(gradient.any() for gradient in first[3:])  # the support teaches nothing


def test_meta_sgd_with_one_shared_rate_equals_maml(problem: Problem) -> None:
    start, _ = user(problem, 0)
    rates = {name: torch.full_like(value, RATE.item()) for name, value in start.items()}
    assert_close(adapted(problem, inner_lr=rates), adapted(problem))
    rates_dual = {COEFFICIENTS: RATE.expand(H), "w": RATE}
    assert_close(adapted_dual(problem, inner_lr=rates_dual), adapted_dual(problem))


def test_meta_sgd_moves_each_entry_at_its_own_rate(problem: Problem) -> None:
    start, support = user(problem, 0)
    rates = {name: torch.rand_like(value) for name, value in start.items()}
    params = adapt(partial(click_loss, support=support), start, rates, 1, True)
    slopes = grad(click_loss)(start, support)
    for name, value in start.items():
        assert_close(params[name], value - rates[name] * slopes[name])


def test_rates_of_other_parameters_are_refused(problem: Problem) -> None:
    with pytest.raises(ConfigError, match=r"\['w'\], but \['bias', 'w', 'weight'\]"):
        adapted(problem, inner_lr={"w": RATE})


def test_one_gradient_per_user_adds_up_to_the_outer_gradient(problem: Problem) -> None:
    """vmap(grad) of the outer loss: what clipping each user's gradient would need."""

    def outer(shared: Params, w0: Tensor, support: Support) -> Tensor:
        start = {**shared, "w": w0}
        return click_loss(adapt(partial(click_loss, support=support), start, RATE, STEPS, True), support)

    per_user = vmap(grad(outer), (None, 0, 0))(*problem)
    together = grad(lambda shared: vmap(outer, (None, 0, 0))(shared, *problem[1:]).sum())(problem.shared)
    for name, value in together.items():
        assert_close(per_user[name].sum(dim=0), value)


def prior_of_heads() -> tuple[Tensor, Tensor]:
    """A0, well conditioned, and its Cholesky factor."""
    root = torch.linspace(-1, 1, D * D, dtype=torch.float64).view(D, D).sin()
    return (a0 := root @ root.T + torch.eye(D).double()), torch.linalg.cholesky(a0)


def pulled(problem: Problem, w0: Tensor, prior_pull: float, steps: int) -> Tensor:
    """The head after ``steps`` at the largest rate that is safe for every user."""
    (a0, factor), (phi, _, precision) = prior_of_heads(), problem.support
    curvature = prior_pull * a0 + (precision.unsqueeze(-1) * phi).mT @ phi
    rate = 1.0 / torch.linalg.eigvalsh(curvature).max()

    def loss(params: Params, data: tuple[Tensor, ...]) -> Tensor:
        *support, start = data
        pull = prior_pull_loss(params["w"], start, factor, prior_pull)
        return rating_loss(params, Support(*support)) + pull

    return adapt_users(loss, {}, {"w": w0}, (*problem.support, w0), rate, steps, False)["w"]


def test_many_steps_on_the_head_equal_the_closed_form(problem: Problem) -> None:
    a0, factor = prior_of_heads()
    w0, (phi, target, precision) = problem.w0[:, :D], problem.support
    spread = torch.cholesky_solve(phi.flatten(0, 1).T, factor).T.view_as(phi)
    w = pulled(problem, w0, 1.0, 150)
    assert_close(w, posterior_dual(w0, phi, spread, target, precision))
    assert_close(w, posterior_primal(w0, a0, phi, target, precision)[0])


def test_an_ever_stronger_pull_ends_at_the_prior(problem: Problem) -> None:
    """w - w0 = A0^-1 phi^T c (t - phi w0) / pull + O(pull^-2), so it vanishes, and at this rate."""
    w0, (phi, target, precision) = problem.w0[:, :D], problem.support
    surprise = precision * (target - (phi @ w0.unsqueeze(-1)).squeeze(-1))
    force = torch.linalg.solve(prior_of_heads()[0], (phi.mT @ surprise.unsqueeze(-1)).squeeze(-1).T).T
    for prior_pull in (1e4, 1e8):
        w = pulled(problem, w0, prior_pull, 60)
        assert_close((w - w0) * prior_pull, force, rtol=10 * (1 / prior_pull + 1e-7), atol=1e-3)
    assert_close(w, w0, rtol=0, atol=1e-6)


def test_losses_by_hand() -> None:
    logit, wanted, c = torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.0]), torch.tensor([3.0, 0.5])
    assert_close(gaussian_loss(logit, wanted, c), torch.tensor(0.5 * (3 * 1 + 0.5 * 4)))
    expected = -3 * torch.tensor(0.5).log() - 0.5 * (1 - torch.tensor(2.0).sigmoid()).log()
    assert_close(bernoulli_loss(logit, wanted, c), expected)


def test_reptile_on_a_quadratic_equals_its_formula() -> None:
    """Users at a_u: theta_u = a_u + (1 - rate)^k (theta - a_u), so a step of plain SGD at epsilon gives
    theta + epsilon (1 - (1 - rate)^k) (mean a_u - theta)."""
    a_BD = torch.randn(B, D, dtype=torch.float64)
    theta = torch.nn.Parameter(torch.ones(D, dtype=torch.float64))
    ends = adapt_users(quadratic, {"theta": theta}, {}, (a_BD,), RATE, STEPS, False)
    put_gradients({"theta": theta}, reptile_direction({"theta": theta}, ends))
    (as_loss,) = torch.autograd.grad(reptile_loss({"theta": theta}, ends) / B, theta)
    assert_close(as_loss, theta.grad)
    torch.optim.SGD([theta], lr=0.5).step()
    expected = 1.0 + 0.5 * (1 - (1 - RATE) ** STEPS) * (a_BD.mean(dim=0) - 1.0)
    assert_close(theta.detach(), expected)


def test_reptile_reaches_what_the_starts_were_computed_from(problem: Problem) -> None:
    """w0 = mu + x G: mu gets the sum of the users' directions, G their products with x."""
    mu, from_features = (torch.ones(shape).double().requires_grad_() for shape in ((H,), (2, H)))
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 3.0]], dtype=torch.float64)
    w0 = mu + x @ from_features
    ends = adapted(problem._replace(w0=w0), second_order=False)
    gradients = torch.autograd.grad(reptile_loss({"w": w0}, ends), (mu, from_features))
    direction = (w0 - ends["w"]).detach()
    assert_close(gradients, (direction.sum(dim=0), x.T @ direction))
