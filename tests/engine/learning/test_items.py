"""What features say of items: leave-one-out equals really leaving out; items without events teach nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from engine.config import load_config
from engine.data.dataset import Dataset
from engine.learning import items
from engine.learning.experiment import set_up
from engine.learning.items import ItemRepresentation, predicted
from engine.learning.likeness import likeness_factors
from engine.learning.setup import build_model, build_training
from engine.learning.training import Training
from tests.small import SMALL


@pytest.fixture
def world() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features, a target that depends on them, and which of 30 items are known."""
    torch.manual_seed(0)
    x_NF = torch.randn(30, 4)
    y_NC = x_NF @ torch.randn(4, 2) + 0.1 * torch.randn(30, 2) + 3
    return x_NF, y_NC, torch.arange(30) < 20


def test_a_known_item_is_placed_as_if_it_were_not_known(world, monkeypatch: pytest.MonkeyPatch) -> None:
    x_NF, y_NC, known_N = world
    monkeypatch.setattr(items, "PENALTIES", (2.0,))
    said_NC = predicted(x_NF, y_NC, known_N)
    for item in (0, 7, 19):
        others_N = known_N & (torch.arange(30) != item)
        torch.testing.assert_close(said_NC[item], predicted(x_NF, y_NC, others_N)[item], rtol=1e-3, atol=1e-3)


def test_a_weight_is_as_many_equal_items(world, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights have a mean of 1, so that as many rows in their place bear a penalty as many times as large."""
    x_NF, y_NC, known_N = world
    often_N = torch.tensor([1, 2, 3]).repeat(10)
    monkeypatch.setattr(items, "PENALTIES", (2.0,))
    said_NC = predicted(x_NF, y_NC, known_N, often_N.float())
    monkeypatch.setattr(items, "PENALTIES", (2.0 * float(often_N[known_N].float().mean()),))
    rows = torch.arange(30).repeat_interleave(torch.where(known_N, often_N, 1))
    repeated_NC = predicted(x_NF[rows], y_NC[rows], known_N[rows])
    torch.testing.assert_close(said_NC[~known_N], repeated_NC[~known_N[rows]], rtol=1e-4, atol=1e-4)


def test_what_many_people_met_says_more_of_what_features_mean_for_the_base_measure() -> None:
    """Blue items are loved by those who know them well; many that hardly anybody met are not."""
    x_NF = torch.ones(13, 1)
    x_NF[11:] = 0.0
    base_N = torch.tensor([5.0, *[1.0] * 9, 0.0, 2.0, 0.0])
    known_N = torch.tensor([0.9, *[0.001] * 9, 0.0, 0.3, 0.0])
    start = ItemRepresentation.start(torch.zeros(13, 2), base_N, known_N, x_NF)
    assert start.imputed_base_N[10] > start.imputed_base_N[12]
    assert torch.equal(start.known_N, known_N)
    assert torch.equal(start.warm_N, known_N > 0)


def test_the_penalty_fits_how_much_the_features_say(world) -> None:
    x_NF, y_NC, known_N = world
    torch.testing.assert_close(predicted(x_NF, y_NC, known_N)[~known_N], y_NC[~known_N], rtol=0, atol=0.6)
    noise_NC = torch.randn(30, 2, generator=torch.Generator().manual_seed(1))
    from_noise_NC = predicted(x_NF, noise_NC, known_N)[~known_N]
    mean_C = noise_NC[known_N].mean(dim=0)
    assert (from_noise_NC - mean_C).abs().max() < 0.1 * (noise_NC - mean_C).abs().max()


def test_without_features_every_new_item_is_average(world) -> None:
    _, y_NC, known_N = world
    said_NC = predicted(torch.zeros(30, 0), y_NC, known_N)
    torch.testing.assert_close(said_NC[~known_N], y_NC[known_N].mean(dim=0).expand(10, 2))


def test_nobody_known_says_nothing(world) -> None:
    x_NF, y_NC, _ = world
    assert not predicted(x_NF, y_NC, torch.zeros(30, dtype=torch.bool)).any()


def test_likeness_is_the_cosine_of_the_features_rare_ones_counting_more() -> None:
    torch.manual_seed(0)
    x_NF = (torch.rand(20, 5) < 0.4).float()
    rare_NF = x_NF / x_NF.square().mean(dim=0).sqrt().sqrt()
    cosine_NN = torch.nn.functional.normalize(rare_NF) @ torch.nn.functional.normalize(rare_NF).T
    places_ND = likeness_factors(x_NF, 64)
    torch.testing.assert_close(places_ND @ places_ND.T, cosine_NN)
    torch.testing.assert_close(likeness_factors(x_NF, 2), places_ND[:, :2])  # the most telling come first
    assert places_ND.square().sum(dim=0).diff().max() < 1e-5


def test_features_place_a_cold_item_where_they_place_a_warm_one() -> None:
    x_NF = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 0]])
    warm_N = torch.tensor([True, False, True, True])
    start = ItemRepresentation.start(torch.randn(4, 3), torch.zeros(4), warm_N, x_NF, likeness_dim=8)
    phi_ND = start().phi_ND
    assert phi_ND.shape == (4, 5)
    torch.testing.assert_close(phi_ND[1, 3:], phi_ND[0, 3:])
    assert phi_ND[3, 3:].tolist() == [0, 0]


def test_cold_items_are_stretched_where_events_are_counted_and_where_likeness_is() -> None:
    x_NF = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 0]])
    warm_N = torch.tensor([True, False, True, True])
    items = ItemRepresentation.start(torch.randn(4, 3), torch.zeros(4), warm_N, x_NF, likeness_dim=8)
    before_ND = items().phi_ND
    with torch.no_grad():
        items.log_cold_gain_2.copy_(torch.tensor([2.0, 3.0]).log())
    after_ND = items().phi_ND
    torch.testing.assert_close(after_ND[1], before_ND[1] * torch.tensor([2.0, 2, 2, 3, 3]))
    torch.testing.assert_close(after_ND[[0, 2, 3]], before_ND[[0, 2, 3]])


def test_a_column_that_is_one_for_every_item_is_not_stretched() -> None:
    """Of a rating model: there stands the user's own level."""
    warm_N, x_NF = torch.tensor([True, True, False]), torch.eye(3)
    spectral_ND = torch.tensor([[1.0, 1], [2, 1], [0, 1]])
    items = ItemRepresentation.start(spectral_ND, torch.zeros(3), warm_N, x_NF, 2, level=True)
    with torch.no_grad():
        items.log_cold_gain_2.copy_(torch.tensor([2.0, 3.0]).log())
    torch.testing.assert_close(items.cold_gain(), torch.tensor([2.0, 1, 3, 3]))
    torch.testing.assert_close(items().phi_ND[:, 1], torch.ones(3))


def test_how_far_to_stretch_cold_items_is_learned_fast(checkerboard_data: Path) -> None:
    """Both numbers move in training, in the group of single numbers."""
    options = (*SMALL, "items.likeness_dim=2", "items.dropout=0.2", "outer.passes=1")
    run = told_training(checkerboard_data, options)
    gain = run.model.items.log_cold_gain_2
    assert any(gain is p for p in run.optimiser.param_groups[0]["params"])
    list(run.run())
    assert (gain != 0).all()


def told_training(data: Path, options: Sequence[str]) -> Training:
    experiment = set_up(Dataset.load(data), load_config(None, options))
    return build_training(experiment, build_model(experiment))
