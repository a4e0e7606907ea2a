"""Equalities of the inner loop: dual == primal, no events == prior, one at a time == all at once."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import grad, gradcheck

from engine.learning.closed_form import posterior_dual, posterior_dual_plain, posterior_primal, spread

B, S, D = 3, 5, 8


@pytest.fixture
def problem() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    root = normal(D, D)
    a0 = root @ root.T + torch.eye(D, dtype=torch.float64)
    support = normal(B, S, D)
    return {
        "w0": normal(B, D),
        "a0": a0,
        "support": support,
        "spread": torch.linalg.solve(a0, support.flatten(0, 1).T).T.view(B, S, D),
        "target": normal(B, S),
        "precision": torch.rand(B, S, generator=generator, dtype=torch.float64) + 0.1,
    }


def dual(p: dict[str, torch.Tensor]) -> torch.Tensor:
    return posterior_dual(p["w0"], p["support"], p["spread"], p["target"], p["precision"])


def primal(p: dict[str, torch.Tensor]) -> torch.Tensor:
    return posterior_primal(p["w0"], p["a0"], p["support"], p["target"], p["precision"])[0]


def test_dual_equals_primal(problem: dict[str, torch.Tensor]) -> None:
    torch.testing.assert_close(dual(problem), primal(problem))


def test_dual_equals_primal_in_its_gradients(problem: dict[str, torch.Tensor]) -> None:
    """The outer loop learns through the solve, so the two must agree there too."""
    names = ("w0", "target", "precision")
    gradients = []
    for solve in (dual, primal):
        leaves = {name: problem[name].clone().requires_grad_() for name in names}
        loss = solve({**problem, **leaves}).square().sum()
        gradients.append(torch.autograd.grad(loss, list(leaves.values())))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("n_users", [1, B])
def test_spread_equals_a_solve_with_few_items_and_with_many(
    problem: dict[str, torch.Tensor], n_users: int
) -> None:
    """One user's S items are fewer than D, all users' B S items are more."""
    factor = torch.linalg.cholesky(problem["a0"])
    torch.testing.assert_close(spread(problem["support"][:n_users], factor), problem["spread"][:n_users])


ARGUMENTS = ("w0", "support", "spread", "target", "precision")


def test_the_fast_dual_equals_the_plain_one_in_value_and_in_every_gradient(
    problem: dict[str, torch.Tensor],
) -> None:
    leaves = [problem[name].requires_grad_() for name in ARGUMENTS]
    ours, theirs = posterior_dual(*leaves), posterior_dual_plain(*leaves)
    torch.testing.assert_close(ours, theirs)
    direction = torch.randn_like(ours)
    pairs = zip(grad(ours, leaves, direction), grad(theirs, leaves, direction), strict=True)
    for name, (mine, plain) in zip(ARGUMENTS, pairs, strict=True):
        torch.testing.assert_close(mine, plain, msg=lambda message, n=name: f"{n}: {message}")


def test_neither_layout_nor_precision_matter_to_the_fast_dual(problem: dict[str, torch.Tensor]) -> None:
    """As training has them: float32, one w0 for all, slices of larger tensors."""
    exact = [problem[name].clone() for name in ARGUMENTS]
    exact[0] = exact[0][:1].expand(B, D)
    rough = [part.float() for part in exact]
    rough[1:3] = [torch.cat([part, part], dim=1)[:, ::2][:, :S] for part in rough[1:3]]
    exact[1:3] = [part.double() for part in rough[1:3]]
    rough[3] = rough[3].T.contiguous().T
    leaves = [[part.detach().requires_grad_() for part in parts] for parts in (rough, exact)]
    values = posterior_dual(*leaves[0]), posterior_dual_plain(*leaves[1])
    torch.testing.assert_close(values[0].double(), values[1], rtol=1e-4, atol=1e-5)
    slopes = [grad(value.sum(), parts) for value, parts in zip(values, leaves, strict=True)]
    for ours, theirs in zip(*slopes, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-3, atol=1e-4)


def test_nobody_at_all_is_adapted() -> None:
    none = [torch.empty(0, *shape) for shape in ((D,), (S, D), (S, D), (S,), (S,))]
    assert posterior_dual(*none).shape == (0, D)


def test_a_posterior_that_is_no_number_is_an_error(problem: dict[str, torch.Tensor]) -> None:
    problem["target"][0, 0] = torch.nan
    with pytest.raises(torch.linalg.LinAlgError, match="not finite"):
        dual(problem)


def test_gradient_of_the_dual_equals_finite_differences(problem: dict[str, torch.Tensor]) -> None:
    """By way of A0, so that the S x S matrix stays symmetric whatever is moved."""

    def posterior(
        w0: torch.Tensor, phi: torch.Tensor, root: torch.Tensor, t: torch.Tensor, c: torch.Tensor
    ) -> torch.Tensor:
        return posterior_dual(w0, phi, phi @ (root @ root.T), t, c)

    root = torch.linalg.cholesky(torch.linalg.inv(problem["a0"]))
    arguments = {**problem, "spread": root}
    assert gradcheck(posterior, [arguments[name].requires_grad_() for name in ARGUMENTS])


def test_without_a_support_the_dual_passes_value_and_gradient_on(problem: dict[str, torch.Tensor]) -> None:
    none = {name: problem[name][:, :0] for name in ("support", "spread", "target", "precision")}
    w0 = problem["w0"].requires_grad_()
    w = dual({**none, "w0": w0})
    direction = torch.randn_like(w)
    assert torch.equal(w, w0)
    assert torch.equal(grad(w, w0, direction)[0], direction)


def test_a_second_derivative_of_the_fast_dual_is_refused(problem: dict[str, torch.Tensor]) -> None:
    """Rather than given wrongly: its gradient is no graph of its own."""
    w0 = problem["w0"].requires_grad_()
    (slope,) = grad(dual(problem).square().sum(), w0, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_no_events_give_the_prior_exactly(problem: dict[str, torch.Tensor]) -> None:
    nothing = {**problem, "precision": torch.zeros(B, S, dtype=torch.float64)}
    assert torch.equal(dual(nothing), problem["w0"])


def test_padding_changes_nothing_and_has_no_gradient(problem: dict[str, torch.Tensor]) -> None:
    def padded(tensor: torch.Tensor, value: float) -> torch.Tensor:
        return torch.cat([tensor, torch.full_like(tensor[:, :2], value)], dim=1)

    fill = {"support": 7.0, "spread": -3.0, "target": 9.0, "precision": 0.0}
    bare = {name: tensor.requires_grad_() for name, tensor in problem.items()}
    more = {**bare, **{name: padded(bare[name], value) for name, value in fill.items()}}
    torch.testing.assert_close(dual(more), dual(bare))
    expected = grad(dual(bare).sum(), [bare[name] for name in fill])
    for ours, theirs in zip(grad(dual(more).sum(), [more[name] for name in fill]), expected, strict=True):
        torch.testing.assert_close(ours[:, :S], theirs)
        assert not ours[:, S:].any()


def test_one_event_at_a_time_equals_all_at_once(problem: dict[str, torch.Tensor]) -> None:
    """The posterior after one event is the prior of the next."""
    for user in range(B):
        w, a = problem["w0"][user : user + 1], problem["a0"]
        for event in range(S):
            at = (slice(user, user + 1), slice(event, event + 1))
            w, a_1DD = posterior_primal(
                w, a, problem["support"][at], problem["target"][at], problem["precision"][at]
            )
            a = a_1DD[0]
        torch.testing.assert_close(w[0], dual(problem)[user])


def test_leaving_an_event_out_equals_the_rank_one_downdate(problem: dict[str, torch.Tensor]) -> None:
    """Sherman-Morrison on the posterior precision gives what a solve without the event gives."""
    w_BD, a_BDD = posterior_primal(
        problem["w0"], problem["a0"], problem["support"], problem["target"], problem["precision"]
    )
    for event in range(S):
        phi, c = problem["support"][:, event], problem["precision"][:, event, None]
        v = torch.linalg.solve(a_BDD, phi)
        surprise = problem["target"][:, event, None] - (w_BD * phi).sum(1, keepdim=True)
        downdated = w_BD - v * (c * surprise) / (1 - c * (v * phi).sum(1, keepdim=True))
        left_out = problem["precision"].clone()
        left_out[:, event] = 0
        torch.testing.assert_close(downdated, dual({**problem, "precision": left_out}))


def test_many_precise_events_override_the_prior() -> None:
    """With an event along every axis, believed fully, the posterior is what the events say."""
    eye = torch.eye(D, dtype=torch.float64)[None]
    target = torch.arange(D, dtype=torch.float64)[None]
    w = posterior_dual(torch.zeros(1, D).double(), eye, eye, target, torch.full((1, D), 1e9).double())
    torch.testing.assert_close(w, target)
