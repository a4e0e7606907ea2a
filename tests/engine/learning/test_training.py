"""The outer loop: workers, resuming, stopping and failing."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from engine.config import load_config
from engine.data.dataset import Dataset
from engine.data.episodes import draw_episodes
from engine.errors import TrainingError
from engine.learning.experiment import set_up
from engine.learning.noise import draw_noise
from engine.learning.setup import build_model, build_training
from engine.learning.training import Training
from jobs.prepare import prepare
from tests.small import SMALL

FEW = (*SMALL, "outer.passes=3")
GRADIENT = ("inner.method=gradient", "inner.scope=decision", "inner.hidden=4", "inner.prior_precision=2")
WORKERS = {
    "closed form": (),
    "MAML, a user a step": (
        *GRADIENT,
        "outer.users_per_step=1",
        "outer.passes=1",
        "evaluation.test_share=0.7",
    ),
    "Reptile": (*GRADIENT, "outer.rule=reptile", "inner.prior_pull=0"),
}
FEATURELESS = "closed form without features"


def training(data: Path, *overrides: str, **options: Any) -> Training:
    experiment = set_up(Dataset.load(data), load_config(None, [*FEW, *overrides]))
    return build_training(experiment, build_model(experiment), **options)


def finish(run: Training) -> dict[str, torch.Tensor]:
    for _ in run.run():
        pass
    return run.model.state_dict()


def assert_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor], **tolerance: float) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(
            tensor, theirs[name], **(tolerance or {"rtol": 0, "atol": 0}), msg=lambda m, n=name: f"{n}: {m}"
        )


def test_quality_rises(checkerboard_data: Path) -> None:
    reports = list(training(checkerboard_data, "outer.passes=8").run())
    assert reports[-1].best_quality > reports[0].quality
    assert reports[-1].loss < reports[0].loss


def test_the_same_run_twice_is_bit_for_bit_the_same(checkerboard_data: Path) -> None:
    assert_same(finish(training(checkerboard_data)), finish(training(checkerboard_data)))


def test_a_resumed_run_ends_as_an_undisturbed_one(checkerboard_data: Path) -> None:
    undisturbed = training(checkerboard_data)
    first = training(checkerboard_data)
    next(first.run())
    resumed = training(checkerboard_data)
    resumed.load_state_dict(copy.deepcopy(first.state_dict()))
    assert_same(finish(undisturbed), finish(resumed))
    assert undisturbed.best_quality == resumed.best_quality
    assert_same(undisturbed.best, resumed.best)
    told, again = ([replace(r, seconds=0.0) for r in run.history] for run in (undisturbed, resumed))
    assert told == again
    assert len(told) == undisturbed.passes_done


@pytest.mark.parametrize("step", [0, 2, -1])
def test_a_run_resumed_within_a_pass_ends_as_an_undisturbed_one(checkerboard_data: Path, step: int) -> None:
    """After the first, the third and the last step of the second pass."""
    states: list[dict[str, Any]] = []
    undisturbed = training(checkerboard_data)

    def keep() -> None:
        if undisturbed.passes_done == 1:
            states.append(copy.deepcopy(undisturbed.state_dict()))

    reports = list(undisturbed.run(keep))
    assert [state["steps_done"] for state in states] == list(range(1, len(states) + 1))
    resumed = training(checkerboard_data)
    resumed.load_state_dict(states[step])
    again = list(resumed.run())
    assert [(r.loss, r.quality) for r in again] == [(r.loss, r.quality) for r in reports[1:]]
    assert_same(resumed.model.state_dict(), undisturbed.model.state_dict())
    assert_same(resumed.best, undisturbed.best)


def test_weights_that_are_not_finite_are_not_worth_keeping(checkerboard_data: Path) -> None:
    run = training(checkerboard_data)
    run.check()
    with torch.no_grad():
        run.model.items.base_residual_N[0] = float("inf")
    with pytest.raises(TrainingError, match="weights are not finite"):
        run.check()


def test_a_solve_that_fails_is_a_loss_that_is_not_finite(checkerboard_data: Path) -> None:
    """So that other workers, whose solves do not fail, learn of it at the next sum."""
    run = training(checkerboard_data)
    with torch.no_grad():
        run.model.prior.log_precision_D.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"the loss is not finite \(pass 1, step 1, users"):
        finish(run)


def test_stops_when_quality_no_longer_improves(checkerboard_data: Path) -> None:
    run = training(checkerboard_data, "outer.passes=50", "outer.patience=2", "outer.outer_lr=1e-9")
    run.optimiser.param_groups[1]["lr"] = 0.0
    assert len(list(run.run())) < 50


def test_the_best_model_is_kept(checkerboard_data: Path) -> None:
    run = training(checkerboard_data)
    finish(run)
    total, users = run.quality(run.best_model())
    assert total / users == pytest.approx(run.best_quality)


def test_a_loss_that_is_not_finite_stops_with_the_step_and_users(checkerboard_data: Path) -> None:
    run = training(checkerboard_data)
    with torch.no_grad():
        run.model.items.base_residual_N[0] = float("nan")
    with pytest.raises(TrainingError, match=r"pass 1, step 1, users \[u\d+, u\d+"):
        finish(run)


def test_scores_that_are_not_finite_stop_it(checkerboard_data: Path) -> None:
    run = training(checkerboard_data)
    run.quality = lambda model: (-math.inf, 0)
    with pytest.raises(TrainingError, match=r"scores of validation users are not finite \(pass 1\)"):
        finish(run)


@pytest.mark.parametrize("objective", ["ranking", "click", "rating"])
def test_steps_that_are_far_too_long_are_named(checkerboard_data: Path, objective: str) -> None:
    """Whether the loss leaves the numbers or stays among them."""
    run = training(checkerboard_data, *GRADIENT, "inner.inner_lr=30", f"objective={objective}")
    with pytest.raises(TrainingError, match=r"diverged.*Lower inner\.inner_lr"):
        finish(run)


@pytest.mark.parametrize("options", [(), ("objective=rating",), ("objective=click",), GRADIENT])
def test_a_worker_whose_share_of_a_step_is_nobody_adds_nothing(
    checkerboard_data: Path, options: tuple[str, ...]
) -> None:
    run = training(checkerboard_data, *options)
    batch = next(run.batches.steps(0, 0))
    nobody = draw_episodes(batch.histories, np.empty(0, np.int64), batch.user_x, run.rules, (0, 0))
    n, dim = run.model.items.spectral_ND.shape
    noise = draw_noise(run.schedule.dropout, (0,), 0, batch.user_x.shape[1], n, dim)
    loss = run.model(nobody, 0, noise, "maml", 0.5)
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is None or not p.grad.any() for p in run.model.parameters())
    if options != GRADIENT:  # or other workers would wait; descent's may be absent
        assert all(p.grad is not None for p in run.model.parameters())


def two_workers(rank: int, cases: dict[str, tuple[Path, tuple[str, ...]]], folder: Path) -> None:
    """What each of two processes runs; rank 0 leaves each case's first gradient and final state."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    for name, (data, overrides) in cases.items():
        run = training(data, *overrides, rank=rank, world=2)
        result = {"gradients": first_gradient(run), "state": finish(run), "quality": run.best_quality}
        if rank == 0:
            torch.save(result, folder / name)
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def featureless_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Neither items nor users have features: some parameters are empty."""
    rows = [(f"u{u}", f"i{(u % 2) + 2 * ((u + n) % 9)}") for u in range(40) for n in range(6)]
    folder = tmp_path_factory.mktemp("featureless") / "data"
    prepare(interactions=pd.DataFrame(rows, columns=["user_id", "item_id"]), out=folder)
    return folder


@pytest.fixture(scope="module")
def cases(checkerboard_data: Path, featureless_data: Path) -> dict[str, tuple[Path, tuple[str, ...]]]:
    known = {name: (checkerboard_data, options) for name, options in WORKERS.items()}
    return {**known, FEATURELESS: (featureless_data, ())}


@pytest.fixture(scope="module")
def of_two(cases: dict[str, tuple[Path, tuple[str, ...]]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two workers make of all cases: starting processes takes longer than training."""
    folder = tmp_path_factory.mktemp("two")
    mp.start_processes(two_workers, (cases, folder), nprocs=2, start_method="spawn")
    return folder


def first_gradient(run: Training) -> dict[str, torch.Tensor]:
    """The gradient of the first outer step, caught on its way into the optimiser."""
    caught: dict[str, torch.Tensor] = {}

    def catch(*_: Any) -> None:
        if not caught:
            caught.update({n: p.grad.clone() for n, p in run.model.named_parameters() if p.grad is not None})

    run.optimiser.register_step_pre_hook(catch)
    return caught


@pytest.mark.parametrize("name", [*WORKERS, FEATURELESS])
def test_two_workers_equal_one(
    cases: dict[str, tuple[Path, tuple[str, ...]]], of_two: Path, name: str
) -> None:
    """Gradients and result."""
    data, options = cases[name]
    alone = training(data, *options)
    gradients = first_gradient(alone)
    state = finish(alone)
    result = torch.load(of_two / name, weights_only=True)
    if not options:
        assert len(gradients) == len(list(alone.model.parameters()))
    assert_same(result["gradients"], gradients, rtol=1e-5, atol=1e-6)
    assert_same(result["state"], state, rtol=1e-3, atol=1e-4)
    assert result["quality"] == pytest.approx(alone.best_quality, abs=1e-4)
