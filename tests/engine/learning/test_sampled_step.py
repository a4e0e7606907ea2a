"""Steps over a large catalogue: taken whole they are those of a small one; sampled, they are so on average."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.engine.learning.test_training import GRADIENT, assert_same, finish, training

LARGE = ("items.full_softmax_max=10", "items.dropout=0")


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("objective=click",),
        ("objective=rating",),
        GRADIENT,
        ("outer.population_weight=0.5", "items.likeness_dim=3"),
        (*GRADIENT, "outer.rule=reptile", "inner.prior_pull=0"),
    ],
)
def test_a_catalogue_taken_whole_is_trained_as_a_small_one(
    checkerboard_data: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    """All items drawn: losses, tables by the lazy optimiser and the rest by the dense one, validation."""
    monkeypatch.setattr("engine.learning.start.CROSS_FITTED", 0)
    small = training(checkerboard_data, "items.dropout=0", *options)
    large = training(checkerboard_data, *LARGE, *options)
    small.model.ridge, large.model.ridge = None, None  # the large one has other draws
    for ours, theirs in zip(small.run(), large.run(), strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-4)
        assert ours.quality == pytest.approx(theirs.quality, rel=1e-3)
    assert_same(
        large.best_model().state_dict(), small.best_model().state_dict(), rtol=1e-3, atol=1e-4
    )
