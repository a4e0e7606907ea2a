"""What is refused before training, since nothing could be learned or measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from engine.config import load_config
from engine.data.dataset import Dataset
from engine.errors import ConfigError, DataError
from engine.learning.experiment import set_up
from jobs.prepare import prepare
from tests.small import SMALL


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Ratings and one view by each of forty people of whom nothing else is known."""
    rows = [
        (f"u{u}", f"i{(u + n) % 9}", None if n == 3 else 4.0 + n % 2) for u in range(40) for n in range(6)
    ]
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "rating"])
    events["event"] = np.where(events["rating"].isna(), "view", None)
    folder = tmp_path_factory.mktemp("bare") / "data"
    prepare(interactions=events, out=folder)
    return Dataset.load(folder)


def views_alone(dataset: Dataset, users: np.ndarray) -> Dataset:
    signal, histories = dataset.histories.signal.copy(), dataset.histories
    signal[np.isin(histories.user_row, users)] = dataset.signals.names.index("view")
    return replace(dataset, histories=replace(histories, signal=signal))


def test_ratings_are_told_by_those_who_train_and_those_who_validate(bare: Dataset) -> None:
    rating = load_config(None, (*SMALL, "objective=rating"))
    split = set_up(bare, rating).split
    with pytest.raises(DataError, match="no event carries a number"):
        set_up(views_alone(bare, split.train), rating)
    with pytest.raises(DataError, match=r"validation users: .* none of their later events carries a number"):
        set_up(views_alone(bare, split.validation), rating)


def test_reptile_of_the_head_needs_user_features(bare: Dataset) -> None:
    reptile = (*SMALL, "inner.method=gradient", "outer.rule=reptile")
    with pytest.raises(ConfigError, match=r"nothing to learn: Reptile .* inner.scope to decision"):
        set_up(bare, load_config(None, reptile))
    set_up(bare, load_config(None, (*reptile, "inner.scope=decision")))
