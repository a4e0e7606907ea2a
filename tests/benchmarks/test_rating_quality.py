"""Predicted ratings of cold users, MovieLens-100k in order of time, seeds 0 to 2, tune_configs/rating.toml.

pytest --run-benchmarks -s tests/benchmarks/test_rating_quality.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.evaluation.report import markdown_table
from jobs.judge import judge
from tests.benchmarks.conftest import Train

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]

CONFIG = Path(__file__).parents[2] / "tune_configs" / "rating.toml"
FLOORS = (0.998, 0.994, 0.988, 0.984, 0.970, 0.947)


def test_ratings_beat_means_and_taste_shows(train: Train) -> None:
    reports = []
    for seed in range(3):
        experiment, model = train(["episodes.order=time", f"seed={seed}"], CONFIG)
        reports.append(judge(experiment, model, [], experiment.held_out(experiment.split.test)))
    for metric in ("rmse", "auc"):
        print(f"\n{metric}\n\n{markdown_table(reports, metric)}")
    rmse, auc = (
        np.mean([[r.mean("firstclick", metric, k).mean for k in r.shots] for r in reports], axis=0)
        for metric in ("rmse", "auc")
    )
    assert (rmse.round(3) <= FLOORS).all(), rmse
    assert auc[-1] - auc[0] >= 0.012, auc
