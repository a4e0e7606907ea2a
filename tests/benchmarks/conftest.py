"""What the quality benchmarks share: MovieLens-100k, prepared once, and a model trained on a split of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from engine.config import load_config
from engine.data.dataset import Dataset
from engine.data.sources.movielens import movielens_100k
from engine.learning.experiment import Experiment, set_up
from engine.learning.meta import MetaModel
from engine.learning.setup import build_model, build_training
from jobs.prepare import prepare

Trained = tuple[Experiment, MetaModel]
Train = Callable[[Sequence[str], Path | None], Trained]


@pytest.fixture(scope="session")
def movielens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tables = movielens_100k()
    folder = tmp_path_factory.mktemp("ml-100k") / "data"
    prepare(interactions=tables.interactions, items=tables.items, users=tables.users, out=folder)
    return folder


@pytest.fixture(scope="session")
def train(movielens: Path) -> Train:
    """Train by the protocol of the quality benchmark: the first 20 events are never candidates."""

    def trained(overrides: Sequence[str], config: Path | None = None) -> Trained:
        options = load_config(config, ["episodes.query_after=20", *overrides])
        experiment = set_up(Dataset.load(movielens), options)
        training = build_training(experiment, build_model(experiment))
        for _ in training.run():
            pass
        return experiment, training.best_model().eval()

    return trained
