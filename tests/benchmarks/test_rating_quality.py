"""Predicted ratings of cold users, MovieLens-100k in order of time, seeds 0 to 2, tune_configs/rating.toml.

pytest --run-benchmarks -s tests/benchmarks/test_rating_quality.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.evaluation.report import markdown_table
from engine.evaluation.results import Report
from jobs.judge import judge
from tests.benchmarks.conftest import Train

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]

CONFIG = Path(__file__).parents[2] / "tune_configs" / "rating.toml"
FLOORS = (0.998, 0.994, 0.988, 0.984, 0.970, 0.947)


@pytest.fixture(scope="module")
def reports(train: Train) -> list[Report]:
    found = []
    for seed in range(3):
        experiment, model = train(["episodes.order=time", f"seed={seed}"], CONFIG)
        found.append(judge(experiment, model, [], experiment.held_out(experiment.split.test)))
    for metric in ("rmse", "auc"):
        print(f"\n{metric}\n\n{markdown_table(found, metric)}")
    return found


def means(reports: list[Report], metric: str) -> np.ndarray:
    by_seed = [[r.mean("firstclick", metric, k).mean for k in r.shots] for r in reports]
    return np.mean(by_seed, axis=0)


def test_errors_are_below_the_floors(reports: list[Report]) -> None:
    rmse = means(reports, "rmse")
    assert (rmse.round(3) <= FLOORS).all(), rmse


def test_taste_shows_in_the_order_of_what_was_met(reports: list[Report]) -> None:
    auc = means(reports, "auc")
    assert auc[-1] - auc[0] >= 0.012, auc
