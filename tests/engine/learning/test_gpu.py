"""Training on a GPU: the same code, half the bits in one product alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.config import load_config
from engine.data.dataset import Dataset
from engine.learning.catalogue_product import catalogue_product, in_bfloat16
from engine.learning.experiment import set_up
from engine.learning.setup import build_model, build_training
from tests.small import SMALL


def test_half_the_bits_change_the_product_and_its_gradient_in_the_third_digit() -> None:
    generator = torch.Generator().manual_seed(0)
    w_BD, phi_ND = (torch.randn(n, 32, generator=generator, requires_grad=True) for n in (8, 500))
    exact, half = w_BD @ phi_ND.T, in_bfloat16(w_BD, phi_ND)
    assert half.dtype == torch.float32
    assert 0 < (half - exact).norm() / exact.norm() < 0.01
    target = torch.arange(8)
    gradients = [
        torch.autograd.grad(torch.nn.functional.cross_entropy(scores, target), w_BD)[0]
        for scores in (exact, half)
    ]
    assert (gradients[1] - gradients[0]).norm() / gradients[0].norm() < 0.02


def test_on_a_cpu_and_in_requests_nothing_is_halved() -> None:
    w_BD, phi_ND = torch.randn(3, 4, requires_grad=True), torch.randn(5, 4)
    assert catalogue_product(w_BD, phi_ND).equal(w_BD @ phi_ND.T)


@pytest.mark.gpu
def test_a_run_on_a_gpu_ends_as_one_on_the_cpu(checkerboard_data: Path) -> None:
    experiment = set_up(Dataset.load(checkerboard_data), load_config(None, [*SMALL, "outer.passes=4"]))
    losses = []
    for device in ("cpu", "cuda"):
        run = build_training(experiment, build_model(experiment).to(device))
        losses.append([report.loss for report in run.run()])
        assert run.model.log_scale.device.type == device
    assert losses[1] == pytest.approx(losses[0], rel=0.01)
