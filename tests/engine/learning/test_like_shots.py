"""Groups of users with like numbers of shots: little padding, nobody left out. See also `test_meta`."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.learning.like_shots import FEW, MOST_PADDING, joined, like_shots

RNG = np.random.default_rng(0)
SHOTS = {
    "uniform": RNG.integers(0, 21, 64),
    "mostly few": np.minimum(RNG.geometric(0.4, 200), 20),
    "one has many": np.r_[np.ones(63, int), 20],
    "nearly alike": RNG.integers(15, 21, 64),  # one group is enough, though they differ
    "all differ": np.arange(100),
    "nobody has any": np.zeros(64, int),
    "all have some": np.full(64, 5),
    "few users": RNG.integers(0, 21, FEW - 1),
    "nobody": np.zeros(0, int),
}


@pytest.mark.parametrize("shots", SHOTS.values(), ids=SHOTS)
def test_groups_hold_everybody_and_little_padding(shots: NDArray[np.int64]) -> None:
    groups, users = like_shots(torch.from_numpy(shots)), torch.arange(len(shots))
    assert torch.equal(joined(groups, [users[group.user_G] for group in groups]), users)
    for group in groups:
        assert shots[users[group.user_G]].max(initial=0) <= group.width
    cells = sum(len(users[group.user_G]) * group.width for group in groups)
    if len(shots) >= FEW:
        assert np.maximum(shots, 1).sum() > (1 - MOST_PADDING) * cells
    else:
        assert len(groups) == 1


def test_no_fewer_groups_would_do_and_no_other_cut_is_better() -> None:
    shots = SHOTS["uniform"]
    groups = like_shots(torch.from_numpy(shots))
    width, count = np.unique(np.maximum(shots, 1), return_counts=True)

    def fewest_cells(n_groups: int) -> int:
        ways = combinations(range(1, len(width)), n_groups - 1)
        cuts = [(0, *inner, len(width)) for inner in ways]
        return min(sum(width[b - 1] * count[a:b].sum() for a, b in pairwise(cut)) for cut in cuts)

    assert np.maximum(shots, 1).sum() <= (1 - MOST_PADDING) * fewest_cells(len(groups) - 1)
    assert sum(len(users) * width for users, width in groups) == fewest_cells(len(groups))
