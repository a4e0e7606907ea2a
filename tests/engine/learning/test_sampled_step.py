"""Steps over a large catalogue: taken whole they are those of a small one, and sampled so on average."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from engine.data.episodes import Episodes, draw_episodes
from engine.learning.catalogue import whole_state
from engine.learning.large_spectral import Entries
from engine.learning.meta import Noise
from engine.learning.negatives import Negatives
from engine.learning.noise import hidden_rows
from engine.learning.small_catalogue import SmallCatalogue, in_terms_of, needed, weights
from engine.learning.spectral import item_factors
from engine.learning.training import Training
from tests.engine.learning.test_training import GRADIENT, assert_same, finish, training

LARGE = ("items.full_softmax_max=10", "items.dropout=0")
CHECKED = ("rows", "log_scale", "items.log_gain_D", "prior.log_unseen", "evidence.target_R")
SAMPLED = ("items.full_softmax_max=10", "items.negatives=20", "outer.passes=2")


def exact_factors(entries: Callable[[], Iterable[Entries]], n: int, dim: int, shrink: float) -> np.ndarray:
    """`own_factors` without iterations."""
    (everyone,) = entries()
    shape = everyone.n_users, n
    return item_factors(everyone.user_E, everyone.item_E, shape, dim, shrink, everyone.value_E)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("items.shrink=null",),
        ("evaluation.cold_item_share=0.2", "items.likeness_dim=3"),
        ("objective=click",),
        ("objective=rating",),
        GRADIENT,
        ("outer.population_weight=0.5", "items.likeness_dim=3"),
        (*GRADIENT, "outer.rule=reptile", "inner.prior_pull=0"),
    ],
)
def test_a_catalogue_taken_whole_is_trained_as_a_small_one(
    checkerboard_data: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    """All items drawn: losses, tables by the lazy optimiser and the rest by the dense one, validation."""
    monkeypatch.setattr("engine.learning.start.CROSS_FITTED", 0)
    monkeypatch.setattr("engine.learning.large_start.own_factors", exact_factors)
    small = training(checkerboard_data, "items.dropout=0", *options)
    large = training(checkerboard_data, *LARGE, *options)
    small.model.ridge, large.model.ridge = None, None  # the large one has other draws
    for ours, theirs in zip(small.run(), large.run(), strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-4)
        assert ours.quality == pytest.approx(theirs.quality, rel=1e-3)
    assert_same(large.best_model().state_dict(), small.best_model().state_dict(), rtol=1e-3, atol=1e-4)


def gradients(run: Training, episodes: Episodes, step: int, draws: int) -> dict[str, torch.Tensor]:
    """Of one sampled step: by parameter, and by item row."""
    model, catalogue = run.model, run.model.catalogue
    assert catalogue is not None
    catalogue.negatives.draws = draws
    drawn, chance = catalogue.negatives(step)
    row_M = needed(episodes, model.objective.predicts == "value", drawn)
    loan = catalogue.lend(row_M)
    small = SmallCatalogue(row_M, loan.rows, weights(row_M, drawn, chance), catalogue.n_items)
    ones = torch.ones(len(episodes), 1)
    noise = Noise(ones, ones, torch.zeros(len(row_M), dtype=torch.bool))
    model.zero_grad()
    model(in_terms_of(row_M, episodes), 0, noise, "maml", 0.0, small).backward()
    assert loan.learned_M.grad is not None
    of_items = torch.zeros(catalogue.n_items, loan.learned_M.shape[1]).index_copy(
        0, row_M, loan.learned_M.grad
    )
    named = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return {**named, "rows": of_items}


@pytest.mark.parametrize("objective", ["ranking", "click"])
def test_the_sampled_gradient_is_the_full_one_on_average(
    checkerboard_data: Path, monkeypatch: pytest.MonkeyPatch, objective: str
) -> None:
    """Of 60 items: the mean over 300 draws is within 8 % where one draw is 120 % off; the fewer are left out,
    the nearer it is, and with all of them it is the full one. (A strict penalty, or the ridge would be as
    sure as a checkerboard allows, and some few items all of the sum.)"""
    monkeypatch.setattr("engine.learning.ridge_regression.PENALTIES", np.array([16384.0]))
    run = training(checkerboard_data, *LARGE, f"objective={objective}", "inner.prior_precision=10")
    users = np.arange(0, 100, 5)
    episodes = draw_episodes(run.batches.histories, users, run.batches.user_x, run.rules, (0, 0))
    full = gradients(run, episodes, 0, 60)

    def errors(draws: int, times: int) -> dict[str, float]:
        total = {name: torch.zeros_like(gradient) for name, gradient in full.items()}
        for step in range(times):
            sampled = gradients(run, episodes, step, draws)
            total = {name: total[name] + sampled[name] / times for name in total}
        return {name: ((total[name] - full[name]).norm() / full[name].norm()).item() for name in CHECKED}

    one, few, many, whole = errors(30, 1), errors(15, 300), errors(45, 300), errors(60, 1)
    assert one["rows"] > 0.8
    for name in CHECKED:
        assert whole[name] < 1e-6
        assert many[name] < 0.08
        assert many[name] < few[name] or few[name] < 0.01


def test_hidden_items_are_a_share_that_depends_on_row_and_seed_alone() -> None:
    row_M = torch.arange(100_000)
    hidden = hidden_rows(row_M, 0.05, (0, 1))
    assert hidden.float().mean().item() == pytest.approx(0.05, abs=0.005)
    assert torch.equal(hidden[::3], hidden_rows(row_M[::3], 0.05, (0, 1)))
    assert not torch.equal(hidden, hidden_rows(row_M, 0.05, (0, 2)))
    assert not hidden_rows(row_M, 0.0, (0, 1)).any()


def test_drawn_chances_are_how_often_items_are_drawn() -> None:
    negatives = Negatives(np.arange(20.0), 12, 0)
    times = np.zeros(20)
    for step in range(4000):
        row_M, chance_M = negatives(step)
        times[row_M] += 1 / chance_M.numpy()
    np.testing.assert_allclose(times / 4000, 1.0, atol=0.1)


def test_resumes_bit_for_bit(checkerboard_data: Path) -> None:
    undisturbed, first, resumed = (training(checkerboard_data, *SAMPLED) for _ in range(3))
    next(first.run())
    resumed.load_state_dict(copy.deepcopy(first.state_dict()))
    finish(undisturbed), finish(resumed)
    assert_same(undisturbed.best_model().state_dict(), resumed.best_model().state_dict())


SPREAD = {"ranking": SAMPLED, "rating": (*SAMPLED, "objective=rating", "items.dim=5")}


def two_spread_workers(rank: int, data: Path, folder: Path) -> None:
    """What each of two processes runs; both leave their parts of the models."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    for name, options in SPREAD.items():
        run = training(data, *options, rank=rank, world=2)
        reports = [(r.loss, r.quality) for r in run.run()]
        held = len(run.model.catalogue.learned.mean_LC) if run.model.catalogue else -1
        torch.save({"part": run.best_part(), "reports": reports, "held": held}, folder / f"{name}-{rank}")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def of_two(checkerboard_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two workers make of all cases: starting processes takes longer than training."""
    folder = tmp_path_factory.mktemp("spread")
    mp.start_processes(two_spread_workers, (checkerboard_data, folder), nprocs=2, start_method="spawn")
    return folder


@pytest.mark.parametrize("name", SPREAD)
def test_two_workers_each_with_half_of_the_rows_equal_one(
    checkerboard_data: Path, of_two: Path, name: str
) -> None:
    """Start, ridge, negatives, exchange, optimiser, validation and the joined model."""
    alone = training(checkerboard_data, *SPREAD[name])
    reports = [(r.loss, r.quality) for r in alone.run()]
    state = alone.best_model().state_dict()
    first, second = (torch.load(of_two / f"{name}-{rank}", weights_only=True) for rank in range(2))
    assert (first["held"], second["held"]) == (30, 30)
    assert_same(whole_state([first["part"], second["part"]]), state, rtol=1e-3, atol=1e-4)
    for (loss, quality), (loss_alone, quality_alone) in zip(first["reports"], reports, strict=True):
        assert loss == pytest.approx(loss_alone, rel=1e-5)
        assert quality == pytest.approx(quality_alone, abs=3e-3)  # of near ties, either may be first
