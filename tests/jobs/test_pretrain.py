"""Pretraining as a job: in this process, under Ray Train, interrupted and resumed."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from engine import ArtifactError, ConfigError, DataError, Recommender, TrainingError
from engine.artifact import load_artifact
from engine.config import Config, load_config
from engine.data.dataset import Dataset
from engine.data.sources.checkerboard import checkerboard
from engine.learning.experiment import set_up
from engine.learning.training import Training
from jobs import pretrain as pretrain_job
from jobs.prepare import prepare
from jobs.pretrain import pretrain, train_here
from jobs.training.checkpoints import save
from jobs.training.storage import Folder
from tests.small import SMALL

TINY = (*SMALL, "outer.passes=4", "train.checkpoint_every=1")


def config(*overrides: str) -> Config:
    return load_config(None, [*TINY, *overrides])


def weights(artifact: Path) -> dict[str, torch.Tensor]:
    return load_artifact(artifact).model.state_dict()


def assert_close(ours: Path, theirs: Path, tolerance: float) -> None:
    expected = weights(theirs)
    for name, tensor in weights(ours).items():
        torch.testing.assert_close(
            tensor, expected[name], rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.fixture(scope="module")
def undisturbed(checkerboard_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    pretrain(checkerboard_data, folder / "artifact", config(), folder / "runs")
    return folder / "artifact"


def test_an_interrupted_run_goes_on_and_ends_the_same(
    checkerboard_data: Path, undisturbed: Path, tmp_path: Path
) -> None:
    experiment = set_up(Dataset.load(checkerboard_data), config())
    interrupted = train_here(experiment, tmp_path / "a", Folder.at(tmp_path, "runs", "r"))
    assert [report.passes_done for report in islice(interrupted, 2)] == [1, 2]
    del interrupted
    assert not (tmp_path / "a").exists()
    pretrain(checkerboard_data, tmp_path / "a", config(), tmp_path / "runs", "r")
    assert_close(tmp_path / "a", undisturbed, 0.0)


def test_a_run_interrupted_within_a_pass_goes_on_there(
    checkerboard_data: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fourth checkpoint is the last that is written: of the second step of the third pass."""
    saved = []

    def save_and_stop(training: Training, *others: Any) -> None:
        save(training, *others)
        saved.append((training.passes_done, training.steps_done))
        if training.passes_done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(pretrain_job, "save", save_and_stop)
    steps = config("train.checkpoint_steps=2", "train.checkpoint_every=9")
    with pytest.raises(KeyboardInterrupt):
        pretrain(checkerboard_data, tmp_path / "a", steps, tmp_path / "runs", "r")
    assert saved[-1] == (2, 2)
    monkeypatch.undo()
    pretrain(checkerboard_data, tmp_path / "a", steps, tmp_path / "runs", "r")
    assert_close(tmp_path / "a", undisturbed, 0.0)


def test_what_diverges_names_step_users_and_the_last_good_checkpoint(
    checkerboard_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save_and_break(training: Training, *others: Any) -> None:
        save(training, *others)
        training.model.items.base_residual_N.data[0] = float("nan")

    monkeypatch.setattr(pretrain_job, "save", save_and_break)
    where = r"pass 2, step 1, users \[u\d+, .* and \d+ more; the last good checkpoint is .*r/training\.pt"
    with pytest.raises(TrainingError, match=where):
        pretrain(checkerboard_data, tmp_path / "a", config(), tmp_path / "runs", "r")
    assert torch.load(tmp_path / "runs" / "r" / "training.pt", weights_only=True)["passes_done"] == 1


def test_a_complete_run_is_published_again(checkerboard_data: Path, tmp_path: Path) -> None:
    once = pretrain(checkerboard_data, tmp_path / "a", config("outer.passes=1"), tmp_path / "runs")
    again = pretrain(checkerboard_data, tmp_path / "b", config("outer.passes=1"), tmp_path / "runs")
    assert once["version"] == again["version"]


def test_a_broken_checkpoint_is_named(checkerboard_data: Path, tmp_path: Path) -> None:
    (tmp_path / "runs" / "r").mkdir(parents=True)
    (tmp_path / "runs" / "r" / "training.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match=r"checkpoint cannot be read.*training\.pt"):
        pretrain(checkerboard_data, tmp_path / "a", config(), tmp_path / "runs", "r")


def test_a_checkpoint_of_another_version_is_named(checkerboard_data: Path, tmp_path: Path) -> None:
    """The same options, but the model has other parameters by now."""
    pretrain(checkerboard_data, tmp_path / "a", config("outer.passes=1"), tmp_path / "runs", "r")
    path = tmp_path / "runs" / "r" / "training.pt"
    state = torch.load(path, weights_only=True)
    del state["model"]["log_scale"]
    torch.save(state, path)
    with pytest.raises(TrainingError, match=r"another version of firstclick .*training\.pt"):
        pretrain(checkerboard_data, tmp_path / "a", config("outer.passes=2"), tmp_path / "runs", "r")


def test_the_card_names_the_measure_that_its_table_shows(checkerboard_data: Path, tmp_path: Path) -> None:
    few = config("objective=click", "outer.passes=1")
    manifest = pretrain(checkerboard_data, tmp_path / "a", few, tmp_path / "runs")
    card = (tmp_path / "a" / "card.md").read_text()
    assert f"nDCG@10 of {manifest['users']['test']} users" in card
    assert f"**{manifest['quality']['test']['firstclick']['5']:.3f}".replace("0.", ".") in card


@pytest.mark.parametrize("change", ["seed=7", "items.dim=4", "evaluation.test_share=0.3"])
def test_a_run_of_another_configuration_is_not_resumed(
    checkerboard_data: Path, tmp_path: Path, change: str
) -> None:
    """Else the published quality would be that of users the model has seen."""
    runs = tmp_path / "runs"
    pretrain(checkerboard_data, tmp_path / "a", config("outer.passes=1"), runs, "r")
    with pytest.raises(ConfigError, match=r"the run of this name is another one: " + change.split("=")[0]):
        pretrain(checkerboard_data, tmp_path / "b", config("outer.passes=1", change), runs, "r")


def test_a_run_that_went_further_is_not_cut_short(checkerboard_data: Path, tmp_path: Path) -> None:
    pretrain(checkerboard_data, tmp_path / "a", config("outer.passes=2"), tmp_path / "runs", "r")
    with pytest.raises(ConfigError, match="2 passes done, not 1"):
        pretrain(checkerboard_data, tmp_path / "b", config("outer.passes=1"), tmp_path / "runs", "r")


def test_a_model_of_other_options_or_data_is_kept_unless_told(
    checkerboard_data: Path, tmp_path: Path
) -> None:
    once, runs = config("outer.passes=1"), tmp_path / "runs"
    pretrain(checkerboard_data, tmp_path / "a", once, runs)
    pretrain(checkerboard_data, tmp_path / "a", once, runs)  # the same model
    pretrain(checkerboard_data, tmp_path / "a", config("outer.passes=2"), runs)
    with pytest.raises(ConfigError, match=r"another model stands there: outer\.passes was 2 "):
        pretrain(checkerboard_data, tmp_path / "a", once, runs)
    pretrain(checkerboard_data, tmp_path / "a", once, runs, replace=True)
    other = config("outer.passes=1", "seed=7")
    with pytest.raises(ConfigError, match=r"another model stands there: seed was 0 .*--replace"):
        pretrain(checkerboard_data, tmp_path / "a", other, runs)
    world = checkerboard(n_users=60)
    prepare(interactions=world.interactions, out=tmp_path / "data")
    with pytest.raises(ConfigError, match=r"another model stands there: the data were others .*--replace"):
        pretrain(tmp_path / "data", tmp_path / "a", once, runs)
    assert pretrain(checkerboard_data, tmp_path / "a", other, runs, replace=True)["config"]["seed"] == 7


@pytest.mark.parametrize("name", ["../escape", "a/b", "", ".hidden"])
def test_a_run_name_is_a_plain_name(checkerboard_data: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a run's name"):
        pretrain(checkerboard_data, tmp_path / "a", config(), tmp_path / "runs", name)


def test_what_stands_at_the_target_is_looked_at_before_training(
    checkerboard_data: Path, tmp_path: Path
) -> None:
    """A data set has a manifest.json, too."""
    with pytest.raises(ArtifactError, match="will not replace"):
        pretrain(checkerboard_data, checkerboard_data, config(), tmp_path / "runs")
    assert Dataset.load(checkerboard_data).n_users == 200
    assert not (tmp_path / "runs").exists()


def test_shots_beyond_the_gap_are_left_out(checkerboard_data: Path, tmp_path: Path) -> None:
    few = config("episodes.query_after=3", "outer.passes=1")
    manifest = pretrain(checkerboard_data, tmp_path / "a", few, tmp_path / "runs")
    assert list(manifest["quality"]["test"]["firstclick"]) == ["0", "1", "2"]


def test_too_few_users(tmp_path: Path) -> None:
    events = pd.DataFrame({"user_id": ["a", "a", "b"], "item_id": ["x", "y", "x"]})
    prepare(interactions=events, out=tmp_path / "data")
    with pytest.raises(DataError, match="2 users are too few"):
        pretrain(tmp_path / "data", tmp_path / "a", config(), tmp_path / "runs")


def test_nothing_counts_as_wanted(checkerboard_data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="relevant"):
        pretrain(checkerboard_data, tmp_path / "a", config("signals.relevant_min=9"), tmp_path / "runs")


@pytest.mark.benchmark  # three quarters of a minute; tests/engine has the same without Ray
@pytest.mark.ray
def test_two_workers_of_a_large_catalogue_publish_what_one_process_does(
    ray_cluster: None, checkerboard_data: Path, tmp_path: Path
) -> None:
    """Each counts its users and keeps its items; nothing but the artifact and checkpoints is left."""
    large = ("items.full_softmax_max=10", "items.negatives=20", "outer.passes=2")
    for folder, workers in (("one", 0), ("two", 2)):
        options = config(*large, f"train.workers={workers}")
        pretrain(checkerboard_data, tmp_path / folder, options, tmp_path / f"runs-{folder}", "r")
    assert_close(tmp_path / "two", tmp_path / "one", 1e-3)
    assert not (tmp_path / "runs-two" / "r" / "parts").exists()


@pytest.mark.ray
def test_two_workers_and_then_one_publish_what_one_process_does(
    ray_cluster: None, checkerboard_data: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """The first run ends after two passes; the second, of the same name, goes on to the fourth."""
    runs = tmp_path / "runs"
    pretrain(checkerboard_data, tmp_path / "a", config("train.workers=2", "outer.passes=2"), runs, "r")
    pretrain(checkerboard_data, tmp_path / "a", config("train.workers=1"), runs, "r")
    assert_close(tmp_path / "a", undisturbed, 1e-3)
    scores = Recommender.load(tmp_path / "a").score([{"item_id": "i2", "value": 5}])
    expected = Recommender.load(undisturbed).score([{"item_id": "i2", "value": 5}])
    assert scores == pytest.approx(expected, abs=1e-3)


@pytest.mark.ray
def test_an_error_of_ours_in_a_worker_reaches_the_caller(
    ray_cluster: None, checkerboard_data: Path, tmp_path: Path
) -> None:
    wild = config("train.workers=1", "outer.outer_lr=1e30")
    with pytest.raises(TrainingError, match="training diverged"):
        pretrain(checkerboard_data, tmp_path / "a", wild, tmp_path / "runs")
    assert not (tmp_path / "a").exists()
