"""The training users as counting reads them: in parts that fit in memory, each worker its own.

What is counted is a sum over users, so it is taken part by part and added up over the workers: nobody ever
holds everyone's events. Knows nothing of where users are kept or of what is counted.

Shapes: B users of a part, M items of it, N catalogue, F user features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from engine.data.histories import Histories
from engine.learning.exchange import summed
from engine.learning.workers import rank, world

T = TypeVar("T")

PART_USERS = 4096


@dataclass(frozen=True)
class Part:
    """Some training users."""

    numbers: NDArray[np.int64]  # (B,) which of the training users they are
    histories: Histories  # (B) theirs alone
    features: Callable[[], NDArray[np.float32]]  # (B, F), read when asked for


class Crowd(Protocol):
    """The training users; every worker reads its own part of them, so that all workers' are everyone once."""

    @property
    def n_users(self) -> int:
        """Of all workers."""

    @property
    def n_features(self) -> int: ...

    def parts(self) -> Iterator[Part]:
        """Those of this worker, always in the same parts; at least one, be it empty."""


@dataclass(frozen=True)
class Everyone:
    """All training users in this process, of whom each worker reads every W-th."""

    histories: Histories  # (U)
    user_x: NDArray[np.float32]  # (U, F)

    @property
    def n_users(self) -> int:
        return self.histories.n_users

    @property
    def n_features(self) -> int:
        return int(self.user_x.shape[1])

    def parts(self) -> Iterator[Part]:
        own = np.arange(rank(), self.n_users, world())
        for first in range(0, max(len(own), 1), PART_USERS):
            numbers = own[first : first + PART_USERS]
            yield Part(numbers, self.histories.take(numbers), partial(self.user_x.__getitem__, numbers))


def total(crowd: Crowd, of: Callable[[Part], NDArray[np.float64]]) -> NDArray[np.float64]:
    """The sum of something over all parts of all workers."""
    parts = crowd.parts()
    value = np.array(of(next(parts)), np.float64)
    for part in parts:
        value += of(part)
    return summed(torch.from_numpy(value)).numpy()


def total_by_item(
    crowd: Crowd, n_items: int, of: Callable[[Part, int], NDArray[np.float64]], rows: int
) -> NDArray[np.float64]:
    """The sum of ``rows`` things over all parts of all workers, by item, (rows, N).

    Args:
        of: given a part that numbers the M items it speaks of from 0 on, and M; returns (rows, M).
    """
    sum_RN = np.zeros((rows, n_items))
    for part in crowd.parts():
        item_M, place_E = np.unique(part.histories.item_row, return_inverse=True)
        local = replace(part, histories=replace(part.histories, item_row=place_E))
        sum_RN[:, item_M] += of(local, len(item_M))
    return summed(torch.from_numpy(sum_RN)).numpy()


def in_step(own: Iterator[T]) -> Iterator[T | None]:
    """This worker's things, one a turn; None in turns that only others still need, so that all meet alike."""
    while True:
        mine = next(own, None)
        if not summed(torch.tensor(float(mine is not None))):
            return
        yield mine
