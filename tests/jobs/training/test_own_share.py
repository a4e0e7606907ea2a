"""What a worker counts of a large catalogue: its own users and items, read in pieces."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import engine.data.writing
from engine.config import load_config
from engine.data.dataset import Dataset
from engine.data.sources.checkerboard import checkerboard
from engine.learning.catalogue import whole_state
from engine.learning.experiment import Experiment, set_up
from engine.learning.large import Setting, build_large_model
from engine.learning.meta import MetaModel
from engine.learning.setup import build_model
from jobs.prepare import prepare
from jobs.training.own_share import OwnUsers, own_item_features
from jobs.training.stream import Source
from tests.engine.learning.test_training import assert_same
from tests.small import SMALL

LARGE = (*SMALL, "items.full_softmax_max=10", "items.negatives=20", "evaluation.cold_item_share=0.1")


def made(folder: Path, users_in_a_piece: int, n_users: int = 200) -> Path:
    tables = checkerboard(n_users=n_users)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.data.writing, "PIECE_USERS", users_in_a_piece)
        prepare(interactions=tables.interactions, users=tables.users, items=tables.items, out=folder / "data")
    return folder / "data"


@pytest.fixture(scope="module")
def pieces_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkerboard in 13 pieces."""
    return made(tmp_path_factory.mktemp("pieces"), 16)


def told(data: Path, *options: str) -> Experiment:
    return set_up(Dataset.load(data), load_config(None, [*LARGE, *options]))


def from_pieces(data: Path, experiment: Experiment) -> MetaModel:
    """What a worker does under Ray Train."""
    own_x = own_item_features(data, experiment.item_encoder)
    return build_large_model(Setting.of(experiment), OwnUsers(Source.of(experiment, data)), own_x)


def part_of(model: MetaModel) -> dict[str, torch.Tensor]:
    """As `SampledStep.part_of`, and what the negatives are drawn by."""
    assert model.catalogue is not None
    model.catalogue.learn_at(0.1, 0.0)
    drawn = {"drawn": torch.from_numpy(model.catalogue.negatives.cumulative_N)}
    return {**model.state_dict(), **drawn, **model.catalogue.part()}


def as_worker(monkeypatch: pytest.MonkeyPatch, rank: int, world: int) -> None:
    monkeypatch.setattr("jobs.training.own_share.rank", lambda: rank)
    monkeypatch.setattr("jobs.training.own_share.world", lambda: world)


@pytest.mark.parametrize("world", [1, 3, 15])
def test_all_workers_users_are_everyone_once(
    pieces_data: Path, monkeypatch: pytest.MonkeyPatch, world: int
) -> None:
    """The last two of fifteen workers have no piece, and read nobody."""
    experiment, seen = told(pieces_data), []
    train, histories = experiment.split.train, experiment.dataset.histories
    for rank in range(world):
        as_worker(monkeypatch, rank, world)
        parts = list(OwnUsers(Source.of(experiment, pieces_data)).parts())
        assert len(parts) == max(1, len(range(rank, 13, world)))
        for part in parts:
            seen += part.numbers.tolist()
            users = train[part.numbers]
            np.testing.assert_array_equal(part.histories.start, histories.take(users).start)
            np.testing.assert_array_equal(part.histories.item_row, histories.take(users).item_row)
            np.testing.assert_allclose(part.features(), experiment.user_x[users], atol=1e-6)
    assert sorted(seen) == list(range(len(train)))


def test_all_workers_items_are_the_catalogue(pieces_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.data.pieces.ITEMS_AT_ONCE", 7)
    experiment = told(pieces_data)
    for world in (1, 4):
        for rank in range(world):
            as_worker(monkeypatch, rank, world)
            own_x = own_item_features(pieces_data, experiment.item_encoder)
            np.testing.assert_array_equal(own_x, experiment.item_x[rank::world])


@pytest.mark.parametrize("objective", ["ranking", "click", "rating"])
def test_counting_by_pieces_is_counting_from_memory(pieces_data: Path, objective: str) -> None:
    experiment = told(pieces_data, f"objective={objective}", "items.likeness_dim=2")
    ours, theirs = from_pieces(pieces_data, experiment), build_model(experiment)
    assert_same(part_of(ours), part_of(theirs), rtol=1e-3, atol=1e-4)


def worker(rank: int, data: Path, folder: Path) -> None:
    """What each of two processes runs."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save(part_of(from_pieces(data, told(data))), folder / f"part-{rank}")
    dist.barrier()
    dist.destroy_process_group()


def test_two_workers_with_seven_and_six_pieces_count_as_one(pieces_data: Path, tmp_path: Path) -> None:
    mp.start_processes(worker, (pieces_data, tmp_path), nprocs=2, start_method="spawn")
    parts = [torch.load(tmp_path / f"part-{rank}", weights_only=True) for rank in range(2)]
    alone = whole_state([part_of(from_pieces(pieces_data, told(pieces_data)))])
    assert_same(whole_state(parts), alone, rtol=1e-3, atol=1e-4)


def test_memory_does_not_grow_with_the_number_of_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times the users in pieces of the same size: counting holds no more at once."""
    monkeypatch.setattr("engine.learning.large_ridge.DRAWS", 1)
    peaks = []
    for n_users in (400, 1600):
        data = made(tmp_path / str(n_users), 64, n_users)
        experiment = told(data, "items.dim=2")
        setting, users = Setting.of(experiment), OwnUsers(Source.of(experiment, data))
        own_x = own_item_features(data, experiment.item_encoder)
        del experiment
        tracemalloc.start()
        build_large_model(setting, users, own_x)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]
