"""What decides when to stop, against the metrics of a report and a loss worked by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.config import load_config
from engine.data.dataset import Dataset
from engine.data.episodes import Episodes
from engine.evaluation import metrics as m
from engine.evaluation.model import ModelScorer
from engine.evaluation.validation import HEADLINES, MEASURES, validation_quality
from engine.learning.experiment import Experiment, set_up
from engine.learning.setup import build_model
from jobs.judge import judge
from tests.small import SMALL

OBJECTIVES = ("ranking", "click", "rating")


def experiment(data: Path, objective: str) -> Experiment:
    return set_up(Dataset.load(data), load_config(None, (*SMALL, f"objective={objective}")))


@pytest.mark.parametrize("objective", ["ranking", "rating"])
def test_quality_is_the_headline_of_a_report(checkerboard_data: Path, objective: str) -> None:
    seen = experiment(checkerboard_data, objective)
    model, held = build_model(seen), seen.held_out(seen.split.validation)
    total, users = validation_quality(held, 0, 1, model)
    report = judge(seen, model, [], held)
    means = [report.mean("firstclick", HEADLINES[objective], shots).mean for shots in report.shots]
    assert users == len(held.users)
    sign = -1 if objective == "rating" else 1  # the higher the better
    assert sign * total / users == pytest.approx(np.mean(means), rel=1e-5)


def test_workers_judge_equal_shares_of_the_users(checkerboard_data: Path) -> None:
    seen = experiment(checkerboard_data, "ranking")
    model, held = build_model(seen), seen.held_out(seen.split.validation)
    total, users = validation_quality(held, 0, 1, model)
    shares = [validation_quality(held, rank, 3, model) for rank in range(3)]
    assert sum(share[0] for share in shares) == pytest.approx(total, rel=1e-5)
    assert sum(share[1] for share in shares) == users
    assert max(share[1] for share in shares) - min(share[1] for share in shares) <= 2


def test_the_quality_of_chances_is_their_log_loss(checkerboard_data: Path) -> None:
    seen = experiment(checkerboard_data, "click")
    model, held = build_model(seen), seen.held_out(seen.split.validation)
    total, users = validation_quality(held, 0, 1, model)
    losses = [m.log_loss(ModelScorer(model).score(e), e) for e in held.episodes.values()]
    assert -total / users == pytest.approx(np.mean(losses), rel=1e-5)


def test_log_loss_by_hand(make_episodes: Callable[..., Episodes]) -> None:
    chances = np.array([[0.5, 0.25, 0.9], [0.1, 0.2, 0.0]], np.float32)
    losses = m.log_loss(chances, make_episodes([[0], [1]], barred=[[2], []]))
    assert losses[0] == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2)
    assert losses[1] == pytest.approx(-(math.log(0.9) + math.log(0.2) + math.log(1.0)) / 3, rel=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_scores_that_are_not_finite_are_never_the_best(checkerboard_data: Path, objective: str) -> None:
    seen = experiment(checkerboard_data, objective)
    model = build_model(seen)
    with torch.no_grad():
        model.log_scale.fill_(math.nan)
    total, _ = validation_quality(seen.held_out(seen.split.validation), 0, 1, model)
    assert total == -math.inf


def test_every_objective_has_a_measure_and_a_headline() -> None:
    assert set(MEASURES) == set(HEADLINES) == set(OBJECTIVES)
