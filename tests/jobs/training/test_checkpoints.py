"""Runs that go on from another run's checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine import ConfigError
from engine.config import Config, load_config
from engine.data.dataset import Dataset
from engine.learning.experiment import Experiment, set_up
from engine.learning.setup import build_model, build_training
from engine.learning.training import Training
from jobs.search_space import MUTABLE
from jobs.training.checkpoints import adopt, identity_of, resume, save, standing
from jobs.training.storage import Folder
from tests.small import SMALL


def config(*overrides: str) -> Config:
    return load_config(None, [*SMALL, "outer.passes=2", *overrides])


def begun(data: Path, *overrides: str) -> tuple[Training, Experiment]:
    experiment = set_up(Dataset.load(data), config(*overrides))
    return build_training(experiment, build_model(experiment)), experiment


def test_a_run_goes_on_from_another_at_rates_of_its_own(checkerboard_data: Path, tmp_path: Path) -> None:
    parent, theirs = begun(checkerboard_data)
    next(iter(parent.run()))
    save(parent, identity_of(theirs), Folder.at(tmp_path / "parent"))
    child, ours = begun(checkerboard_data, "outer.outer_lr=.02", "outer.table_decay=100")
    with pytest.raises(ConfigError, match=r"outer\.outer_lr is 0\.0031, not 0\.02"):
        resume(child, identity_of(ours), Folder.at(tmp_path / "parent"))
    adopt(Folder.at(tmp_path / "parent"), identity_of(ours), Folder.at(tmp_path / "child"), but=MUTABLE)
    assert standing(tmp_path / "child")["passes_done"] == 1
    expected = [(g["lr"], g["weight_decay"]) for g in child.optimiser.param_groups]
    resume(child, identity_of(ours), Folder.at(tmp_path / "child"))
    assert child.passes_done == 1
    groups = child.optimiser.param_groups
    assert [(g["lr"], g["weight_decay"]) for g in groups] == expected
    assert groups[1]["lr"] == 0.02
    for name, tensor in child.model.state_dict().items():
        assert torch.equal(tensor, parent.model.state_dict()[name]), name
    moments = [s["exp_avg"] for s in child.optimiser.state.values()]
    assert len(moments) == len(parent.optimiser.state) > 0
    assert all(map(torch.equal, moments, [s["exp_avg"] for s in parent.optimiser.state.values()]))


def test_a_run_does_not_go_on_from_one_of_another_kind(checkerboard_data: Path, tmp_path: Path) -> None:
    parent, theirs = begun(checkerboard_data, "items.dim=4")
    save(parent, identity_of(theirs), Folder.at(tmp_path / "parent"))
    _, ours = begun(checkerboard_data, "outer.outer_lr=.02")
    with pytest.raises(ConfigError, match=r"items\.dim is 4, not 8"):
        adopt(Folder.at(tmp_path / "parent"), identity_of(ours), Folder.at(tmp_path / "child"), but=MUTABLE)
    assert not (tmp_path / "child").exists()
