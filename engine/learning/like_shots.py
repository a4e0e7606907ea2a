"""Users in groups of like numbers of shots, so that little of what is computed for them is padding.

Pure functions of the numbers of shots; knows nothing of what is computed.

Shapes: B users, G of them in a group, V different numbers of shots.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MOST_PADDING = 0.3
"""Of the cells of all groups, each as many as users times shots of the one who has most, the share without
an event; a user without events counts as one who has one."""
FEW = 32
"""Fewer users are one group. Several pay from some hundred on; at 64 they cost some percent of a step."""


class Group(NamedTuple):
    """Some users, and how many events the one of them has who has most, at least 1; None: as padded."""

    user_G: Tensor | slice
    width: int | None


def like_shots(shots_B: Tensor) -> list[Group]:
    """As few groups as leave less than ``MOST_PADDING``, cut where they leave least.

    One on a GPU, where the numbers would have to be waited for.
    """
    if shots_B.is_cuda:
        return [Group(slice(None), None)]
    shots = np.maximum(shots_B.numpy(), 1)
    width_V, users_V = np.unique(shots, return_counts=True)
    if len(shots) < FEW or len(width_V) == 1:
        return [Group(slice(None), int(shots.max(initial=1)))]
    last = _last_of_groups(width_V, users_V)
    if len(last) == 1:
        return [Group(slice(None), int(width_V[-1]))]
    parts = np.split(np.argsort(shots, kind="stable"), np.cumsum(users_V)[last[:-1]])
    return [Group(torch.from_numpy(users), int(width_V[v])) for users, v in zip(parts, last, strict=True)]


def joined(groups: Sequence[Group], parts_GX: Sequence[Tensor]) -> Tensor:
    """What was computed for each group, (B, ...) in the users' own order."""
    if isinstance(groups[0].user_G, slice):  # all of them
        return parts_GX[0]
    order = torch.cat([group.user_G for group in groups])  # type: ignore[misc] # none is a slice
    return torch.cat(list(parts_GX))[torch.argsort(order)]


def _last_of_groups(width_V: NDArray[np.int64], users_V: NDArray[np.int64]) -> list[int]:
    """Where each group ends among the different numbers of shots, which rise.

    Dynamic programming: the fewest cells of n groups up to v follow from those of n - 1 up to some u < v.
    """
    up_to = np.concatenate([[0], np.cumsum(users_V)])
    events = float(width_V @ users_V)
    cells_UV = (up_to[1:] - up_to[:-1, None]) * width_V.astype(float)  # one group of those after u, up to v
    cells_UV[np.tril_indices(len(width_V), -1)] = np.inf
    fewest_V, before = cells_UV[0], []
    while 1 - events / fewest_V[-1] >= MOST_PADDING:
        ways_UV = fewest_V[:-1, None] + cells_UV[1:]
        before.append(ways_UV.argmin(0))
        fewest_V = ways_UV.min(0)
    ends = [len(width_V) - 1]
    for step in reversed(before):
        ends.append(int(step[ends[-1]]))
    return ends[::-1]
