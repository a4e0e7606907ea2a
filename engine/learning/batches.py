"""A pass over the users, cut into outer steps: what training asks for, and the answer from memory.

A step's users depend on (seed, pass) alone, not on the number of workers: of W workers, worker r takes every
W-th of them from the r-th on. So a run may be resumed by more or fewer workers, and any step of it is the
step that one worker would have made. Knows nothing of models or of how episodes are drawn.

Shapes: U training users, B users of one worker in one step, F user features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.data.histories import Histories
from engine.learning.folds import FOLDS, steps_of


@dataclass(frozen=True)
class Batch:
    """One worker's users of one outer step; all users of a step are of one fold."""

    users: NDArray[np.int64]  # (B,) numbers among the training users
    user_ids: Sequence[str]  # (B,)
    histories: Histories  # (B) theirs alone
    user_x: NDArray[np.float32]  # (B, F)
    fold: int
    share: slice  # which of the step's users these are
    step_users: int  # of all workers


class Batches(Protocol):
    """Where training gets its users from."""

    def steps(self, pass_: int, first: int) -> Iterator[Batch]:
        """This worker's batches of a pass, from step ``first`` on."""


@dataclass(frozen=True)
class InMemory:
    """All training users in this process."""

    histories: Histories  # (U)
    user_ids: Sequence[str]  # (U,)
    user_x: NDArray[np.float32]  # (U, F)
    seed: int
    users_per_step: int
    rank: int = 0
    world: int = 1

    def steps(self, pass_: int, first: int) -> Iterator[Batch]:
        rng = np.random.default_rng([self.seed, pass_])
        everyone = rng.permutation(self.histories.n_users)
        for users in islice(steps_of(everyone, self.users_per_step, rng), first, None):
            yield self._batch(users, slice(self.rank, None, self.world))

    def _batch(self, users: NDArray[np.int64], share: slice) -> Batch:
        mine = users[share]
        return Batch(
            mine,
            [self.user_ids[u] for u in mine],
            self.histories.take(mine),
            self.user_x[mine],
            int(users[0]) % FOLDS,
            share,
            len(users),
        )
