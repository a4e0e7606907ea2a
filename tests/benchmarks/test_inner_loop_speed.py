"""The vmapped inner loop beside a per-user autograd loop, and the closed form beside supervised training.

    pytest --run-benchmarks -s tests/benchmarks/test_inner_loop_speed.py

One outer step of each (loss, gradient, optimiser) on the same users, MLP and starting weights, one thread;
the contenders take turns, so that a busy machine slows all alike, and CPU time is measured. The floors
hold for five inner steps; the table for one step, where less of the time is the inner loop, is printed only.

Shapes: B users, S support, Q query, D features, H hidden.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.func import vmap
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.testing import assert_close

from engine.learning.closed_form import posterior_dual
from engine.learning.gradient import (
    COEFFICIENTS,
    Affine,
    Params,
    adapt_users,
    adapt_users_dual,
    bernoulli_loss,
    output_dual,
)

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]

S, Q, D, H = 20, 10, 256, 64
RATE, PRIOR_VARIANCE = 0.05, 0.1
TURNS, TURN_S = 15, 0.05
FLOORS = {  # times the tasks per CPU-second of the per-user loop, second order
    32: {"MAML": 4.2, "FOMAML": 6.0, "ANIL": 9.0},
    128: {"MAML": 4.5, "FOMAML": 8.0, "ANIL": 16.0},
}
CLOSED_FORM_AT_MOST = 1.5  # times the CPU time of plain supervised training

LOOP, SUPERVISED = "per-user loop", "plain supervised"

OuterLoss = Callable[[Params], Tensor]


class Users(NamedTuple):
    """A batch of users; ``rows`` holds all support rows, then all query rows, of the same numbers."""

    support_x: Tensor
    support_y: Tensor
    query_x: Tensor
    query_y: Tensor
    rows_x: Tensor
    rows_y: Tensor


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def draw_users(n_users: int) -> Users:
    torch.manual_seed(0)
    support_x, query_x = torch.randn(n_users, S, D), torch.randn(n_users, Q, D)
    support_y, query_y = (torch.randint(2, (n_users, n)).float() for n in (S, Q))
    rows_x = torch.cat([support_x.flatten(0, 1), query_x.flatten(0, 1)])
    return Users(
        support_x, support_y, query_x, query_y, rows_x, torch.cat([support_y.flatten(), query_y.flatten()])
    )


def start() -> Params:
    torch.manual_seed(1)
    widths = {"1": (D, H), "2": (H, H), "3": (H, 1)}
    weights = {f"weight{layer}": torch.randn(n, m) / n**0.5 for layer, (n, m) in widths.items()}
    return weights | {f"bias{layer}": torch.zeros(m) for layer, (_, m) in widths.items()}


def above_first(params: Params, z: Tensor) -> Tensor:
    return (z.relu() @ params["weight2"] + params["bias2"]).relu()


def head(params: Params, features: Tensor) -> Tensor:
    return (features @ params["weight3"] + params["bias3"]).squeeze(-1)


def body(params: Params, x: Tensor) -> Tensor:
    return above_first(params, x @ params["weight1"] + params["bias1"])


def mlp(params: Params, x: Tensor) -> Tensor:
    return head(params, body(params, x))


def mean_bernoulli(logit: Tensor, y: Tensor) -> Tensor:
    return bernoulli_loss(logit, y, torch.full_like(y, 1 / y.shape[-1]))


def support_features(params: Params, users: Users) -> tuple[Tensor, Tensor]:
    """The embedding of all examples in one go, (B, S, H) and (B, Q, H)."""
    n_users = len(users.support_x)
    support, query = body(params, users.rows_x).split([n_users * S, n_users * Q])
    return support.view(n_users, S, H), query.view(n_users, Q, H)


def loop_step(params: Params, users: Users, steps: int, second_order: bool) -> float:
    """MAML as it is usually written: each user's graph is built, differentiated and dropped in turn."""
    total, names = 0.0, list(params)
    for x, y, query_x, query_y in zip(*users[:4], strict=True):
        mine = list(params.values())
        for _ in range(steps):
            loss = binary_cross_entropy_with_logits(mlp(dict(zip(names, mine, strict=True)), x), y)
            slopes = torch.autograd.grad(loss, mine, create_graph=second_order)
            mine = [value - RATE * slope for value, slope in zip(mine, slopes, strict=True)]
        logit = mlp(dict(zip(names, mine, strict=True)), query_x)
        loss = binary_cross_entropy_with_logits(logit, query_y) / len(users.query_x)
        loss.backward()
        total += loss.item()
    return total


def maml(params: Params, users: Users, steps: int, second_order: bool) -> Tensor:
    """Every layer as a matrix for each user."""

    def loss(mine: Params, support: tuple[Tensor, ...]) -> Tensor:
        return mean_bernoulli(mlp(mine, support[0]), support[1])

    ends = adapt_users(loss, params, {}, users[:2], torch.tensor(RATE), steps, second_order)
    return binary_cross_entropy_with_logits(vmap(mlp)(ends, users.query_x), users.query_y)


def maml_dual(params: Params, users: Users, steps: int, second_order: bool) -> Tensor:
    """The same with the first layer in its dual."""
    layer = Affine(params["weight1"], params["bias1"])
    above = {name: value for name, value in params.items() if not name.endswith("1")}

    def loss(mine: Params, z: Tensor, support: tuple[Tensor, ...]) -> Tensor:
        return mean_bernoulli(head(mine, above_first(mine, z)), support[0])

    where = (layer, users.support_x, above, {}, (users.support_y,))
    ends = adapt_users_dual(loss, *where, torch.tensor(RATE), steps, second_order)
    z_BQH = output_dual(users.query_x, layer, users.support_x, ends.pop(COEFFICIENTS))
    logit_BQ = vmap(lambda mine, z: head(mine, above_first(mine, z)))(ends, z_BQH)
    return binary_cross_entropy_with_logits(logit_BQ, users.query_y)


def anil(params: Params, users: Users, steps: int) -> Tensor:
    def loss(mine: Params, support: tuple[Tensor, ...]) -> Tensor:
        return mean_bernoulli(head(mine, support[0]), support[1])

    support, query = support_features(params, users)
    shared = {name: params[name] for name in ("weight3", "bias3")}
    ends = adapt_users(loss, shared, {}, (support, users.support_y), torch.tensor(RATE), steps, True)
    return binary_cross_entropy_with_logits(vmap(head)(ends, query), users.query_y)


def closed_form(params: Params, users: Users) -> Tensor:
    support, query = support_features(params, users)
    w0_BH = params["weight3"].squeeze(-1).expand(len(support), H)
    target, precision = 2 * users.support_y - 1, torch.full_like(users.support_y, PRIOR_VARIANCE)
    w_BH = posterior_dual(w0_BH, support, support, target, precision)  # A0 = I, c = its variance
    logit_BQ = (query * w_BH.unsqueeze(1)).sum(dim=-1) + params["bias3"]
    return binary_cross_entropy_with_logits(logit_BQ, users.query_y)


def supervised(params: Params, users: Users) -> Tensor:
    """No users at all: every support and query event is an example."""
    return binary_cross_entropy_with_logits(mlp(params, users.rows_x), users.rows_y)


def outer_step(loss: OuterLoss) -> Callable[[], None]:
    return step_of(lambda params: loss(params).backward())


def step_of(backward: Callable[[Params], object]) -> Callable[[], None]:
    """A model of its own, and one outer step on it."""
    params = {name: value.requires_grad_() for name, value in start().items()}
    optimiser = torch.optim.AdamW(list(params.values()), lr=1e-4)

    def step() -> None:
        optimiser.zero_grad()
        backward(params)
        optimiser.step()

    return step


def contenders(users: Users, steps: int) -> dict[str, Callable[[], None]]:
    return {
        LOOP: step_of(lambda p: loop_step(p, users, steps, True)),
        "per-user loop, first order": step_of(lambda p: loop_step(p, users, steps, False)),
        "MAML, every layer explicit": outer_step(lambda p: maml(p, users, steps, True)),
        "FOMAML, every layer explicit": outer_step(lambda p: maml(p, users, steps, False)),
        "MAML": outer_step(lambda p: maml_dual(p, users, steps, True)),
        "FOMAML": outer_step(lambda p: maml_dual(p, users, steps, False)),
        "ANIL": outer_step(lambda p: anil(p, users, steps)),
        "closed form": outer_step(lambda p: closed_form(p, users)),
        SUPERVISED: outer_step(lambda p: supervised(p, users)),
    }


def cpu_s(steps: Mapping[str, Callable[[], None]]) -> dict[str, list[float]]:
    """CPU seconds of a step, one figure a turn; short steps are repeated until they can be timed."""
    repeats = {name: max(1, round(TURN_S / time_of(step, 2))) for name, step in steps.items()}
    turns = [{name: time_of(step, repeats[name]) for name, step in steps.items()} for _ in range(TURNS)]
    return {name: [turn[name] for turn in turns] for name in steps}


def time_of(step: Callable[[], None], times: int) -> float:
    begin = time.process_time()
    for _ in range(times):
        step()
    return (time.process_time() - begin) / times


def times_faster(taken: Mapping[str, list[float]], name: str, than: str) -> float:
    """Median over turns of the ratio within a turn."""
    return statistics.median(b / a for a, b in zip(taken[name], taken[than], strict=True))


@pytest.mark.parametrize("steps", [5, 1])
@pytest.mark.parametrize("n_users", FLOORS)
def test_tasks_per_cpu_second(one_thread: None, n_users: int, steps: int) -> None:
    users = draw_users(n_users)
    taken = cpu_s(contenders(users, steps))
    ratios = {name: times_faster(taken, name, LOOP) for name in taken}
    print(
        f"\n{n_users} users a step, {steps} inner steps\n\n| | tasks/CPU-s | times the loop |\n|---|---|---|"
    )
    for name, ratio in ratios.items():
        print(f"| {name} | {n_users / statistics.median(taken[name]):,.0f} | {ratio:.1f} |")
    if steps == 5:
        assert all(ratios[name] >= floor for name, floor in FLOORS[n_users].items()), ratios


@pytest.mark.parametrize("n_users", FLOORS)
def test_closed_form_beside_plain_supervised_training(one_thread: None, n_users: int) -> None:
    users = draw_users(n_users)
    ours, plain = (outer_step(partial(loss, users=users)) for loss in (closed_form, supervised))
    taken = cpu_s({"closed form": ours, SUPERVISED: plain})
    cost = times_faster(taken, SUPERVISED, "closed form")
    print(f"\n{n_users} users: closed form takes {cost:.2f} times as long as plain supervised training")
    assert cost <= CLOSED_FORM_AT_MOST


@pytest.mark.parametrize("second_order", [True, False])
def test_contenders_compute_the_same_outer_gradient(second_order: bool) -> None:
    users = draw_users(4)
    ways: list[Callable[[Params], object]] = [
        lambda p: loop_step(p, users, 3, second_order),
        lambda p: maml(p, users, 3, second_order).backward(),
        lambda p: maml_dual(p, users, 3, second_order).backward(),
    ]
    gradients = []
    for way in ways:
        params = {name: value.requires_grad_() for name, value in start().items()}
        way(params)
        gradients.append({name: value.grad for name, value in params.items()})
    assert_close(gradients[1], gradients[0])
    assert_close(gradients[2], gradients[0])
