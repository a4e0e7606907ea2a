"""The lazy optimiser gives what the dense one would."""

from __future__ import annotations

import pytest
import torch

from engine.learning.lazy_adamw import LazyAdamW

L, C = 40, 3


@pytest.mark.parametrize("touched", [40, 4, 1])
def test_equals_dense_adamw(touched: int) -> None:
    """With rows touched in every step, in one of ten, and seldom: decay, moments and the glide between."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(L, C, generator=generator)
    dense = torch.nn.Parameter(start.clone())
    optimiser = torch.optim.AdamW([dense], lr=0.03, weight_decay=0.5)
    lazy = LazyAdamW(start.clone(), lr=0.03, decay=0.5)
    for step in range(400):
        row_R = torch.randperm(L, generator=generator)[:touched]
        gradient_RC = torch.randn(touched, C, generator=generator) + 0.3
        lazy.catch_up(row_R)
        torch.testing.assert_close(lazy.value_LC[row_R], dense.detach()[row_R], rtol=1e-3, atol=2e-5)
        lazy.step(row_R, gradient_RC)
        dense.grad = torch.zeros(L, C).index_copy(0, row_R, gradient_RC)
        optimiser.step()
        if step % 150 == 0:
            lazy.settle()
    lazy.settle()
    torch.testing.assert_close(lazy.value_LC, dense.detach(), rtol=1e-3, atol=2e-5)
    torch.testing.assert_close(lazy.mean_LC, optimiser.state[dense]["exp_avg"], rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(lazy.square_LC, optimiser.state[dense]["exp_avg_sq"], rtol=1e-3, atol=1e-6)


def test_rows_never_touched_are_decayed_alone() -> None:
    lazy = LazyAdamW(torch.ones(2, 1), lr=0.1, decay=0.2)
    for _ in range(50):
        lazy.step(torch.tensor([0]), torch.ones(1, 1))
        lazy.catch_up(torch.tensor([0]))
    lazy.settle()
    assert lazy.value_LC[1].item() == pytest.approx(0.98**50, rel=1e-5)


def test_goes_on_from_its_state() -> None:
    def run(lazy: LazyAdamW, steps: range) -> None:
        for step in steps:
            row_R = torch.tensor([step % 7, 7 + step % 5])
            lazy.catch_up(row_R)
            lazy.step(row_R, torch.full((2, C), float(step % 3) - 0.5))

    whole, first, second = (LazyAdamW(torch.ones(L, C), lr=0.1, decay=0.2) for _ in range(3))
    run(whole, range(60))
    run(first, range(30))
    second.load_state_dict(first.state_dict())
    run(second, range(30, 60))
    for ours, theirs in zip(whole.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(torch.as_tensor(ours), torch.as_tensor(theirs))
