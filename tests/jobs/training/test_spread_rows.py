"""Checkpoints of a catalogue that is spread over workers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.config import load_config
from engine.data.dataset import Dataset
from engine.learning.experiment import set_up
from engine.learning.setup import build_model, build_training
from engine.recommender import Recommender
from jobs.pretrain import pretrain
from jobs.training.checkpoints import identity_of, resume, save
from jobs.training.spread_rows import load_rows, save_rows
from jobs.training.storage import Folder
from tests.small import SMALL

OPTIONS = (*SMALL, "items.full_softmax_max=10", "items.negatives=20", "outer.passes=2")


def as_worker(monkeypatch: pytest.MonkeyPatch, rank: int, world: int) -> None:
    monkeypatch.setattr("jobs.training.spread_rows.rank", lambda: rank)
    monkeypatch.setattr("jobs.training.spread_rows.world", lambda: world)


def test_three_workers_read_what_two_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value_NC = torch.arange(22.0).view(11, 2)
    for rank in range(2):
        as_worker(monkeypatch, rank, 2)
        own = value_NC[rank::2].clone()
        left = save_rows(
            {"catalogue": {"value": own, "steps": 7}, "best": {"catalogue": own, "x": own}},
            Folder.at(tmp_path),
        )
        assert left == {"best": {"x": own}}
    for world in (1, 2, 3):
        for rank in range(world):
            as_worker(monkeypatch, rank, world)
            state = load_rows({"best": {}}, Folder.at(tmp_path))
            assert state["catalogue"]["steps"] == 7
            assert torch.equal(state["catalogue"]["value"], value_NC[rank::world])
            assert torch.equal(state["best"]["catalogue"], value_NC[rank::world])


def test_a_run_goes_on_from_its_checkpoint(checkerboard_data: Path, tmp_path: Path) -> None:
    experiment = set_up(Dataset.load(checkerboard_data), load_config(None, OPTIONS))
    undisturbed, first, resumed = (build_training(experiment, build_model(experiment)) for _ in range(3))
    next(first.run())
    save(first, identity_of(experiment), Folder.at(tmp_path))
    resume(resumed, identity_of(experiment), Folder.at(tmp_path))
    for run in (undisturbed, resumed):
        list(run.run())
    ours, theirs = (run.best_model().state_dict() for run in (undisturbed, resumed))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_sampled_run_is_published_and_recommends(checkerboard_data: Path, tmp_path: Path) -> None:
    options = (*OPTIONS, "outer.passes=12")
    pretrain(checkerboard_data, tmp_path / "artifact", load_config(None, options), tmp_path / "runs")
    slate = Recommender.load(tmp_path / "artifact").recommend([{"item_id": "i2"}, {"item_id": "i4"}], k=10)
    assert sum(int(item.item_id[1:]) % 2 == 0 for item in slate) >= 9  # the right kind
