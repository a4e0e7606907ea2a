"""Items held out of training: never seen while training, reported by scenario afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.config import load_config
from engine.data.dataset import Dataset
from engine.evaluation.results import Report
from engine.learning.experiment import Experiment, set_up
from engine.learning.setup import build_model
from jobs.evaluate import evaluate, evaluate_command
from jobs.pretrain import pretrain
from tests.small import SMALL

OPTIONS = [*SMALL, "evaluation.cold_item_share=0.2"]


@pytest.fixture(scope="module")
def experiment(checkerboard_data: Path) -> Experiment:
    return set_up(Dataset.load(checkerboard_data), load_config(None, OPTIONS))


@pytest.fixture(scope="module")
def folder(checkerboard_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("held-out-items")
    pretrain(checkerboard_data, out / "artifact", load_config(None, OPTIONS), out / "runs")
    return out


@pytest.fixture(scope="module")
def reports(folder: Path, checkerboard_data: Path) -> dict[str, Report]:
    return evaluate(folder / "artifact", checkerboard_data)


def test_training_knows_nothing_of_the_cold_items(experiment: Experiment) -> None:
    cold = experiment.cold_N
    assert cold.sum() == int(0.2 * len(cold))
    assert not cold[experiment.dataset.histories.item_row].any()
    assert cold[experiment.histories.item_row].any()
    warm = build_model(experiment).items.warm_N.numpy()
    np.testing.assert_array_equal(warm, ~cold)


def test_the_users_split_does_not_depend_on_the_items(
    experiment: Experiment, checkerboard_data: Path
) -> None:
    plain = set_up(Dataset.load(checkerboard_data), load_config(None, SMALL))
    np.testing.assert_array_equal(plain.split.test, experiment.split.test)
    assert not plain.cold_N.any()


def test_warm_items_alone_are_asked_of_new_users(experiment: Experiment) -> None:
    episodes = experiment.held_out(experiment.split.test).episodes[2]
    cold = np.flatnonzero(experiment.cold_N)
    assert episodes.barred_for_all.tolist() == cold.tolist()
    assert not np.isin(episodes.query_item.numpy(), cold).any()


def test_the_scenarios_are_who_was_trained_on_and_who_was_not(
    reports: dict[str, Report], experiment: Experiment
) -> None:
    assert list(reports) == ["user-cold", "item-cold", "both-cold"]
    assert reports["item-cold"].n_users > reports["both-cold"].n_users
    for scenario in ("item-cold", "both-cold"):
        assert reports[scenario].methods == ("firstclick", "popularity by features", "feature-kNN")
        assert reports[scenario].context["scenario"] == scenario


@pytest.mark.parametrize("scenario", ["item-cold", "both-cold"])
def test_five_events_tell_which_new_items_are_of_the_right_kind(
    reports: dict[str, Report], scenario: str
) -> None:
    report = reports[scenario]
    ahead = report.difference("firstclick", "ndcg@10", 5, to="popularity by features")
    assert ahead.mean > 2 * ahead.se
    none, five = (report.mean("firstclick", "ndcg@10", shots).mean for shots in (0, 5))
    assert five > none


def test_all_scenarios_are_printed_and_saved(
    folder: Path, checkerboard_data: Path, reports: dict[str, Report], capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate_command(folder / "artifact", checkerboard_data, folder / "quality")
    shown = capsys.readouterr().out
    assert all(f"{scenario} nDCG@10" in shown for scenario in reports)
    saved = json.loads((folder / "quality" / "quality.json").read_text(encoding="utf-8"))
    assert [Report.from_json(r).context["scenario"] for r in saved] == list(reports)
