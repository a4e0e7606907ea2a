"""The folds of cross-fitting: what is counted is shown to training users as if they had not been counted.

A stranger's events are in no count and in no embedding. A training user's are, unless each fold of users is
trained on counts of the others: otherwise the model learns to trust starts that already know the answer.

Source: Wolpert 1992 (stacked generalisation), Chernozhukov et al. 2018 (cross-fitting).

Shapes: U training users.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
SHARE_LEFT = 1 - 1 / FOLDS
"""Of the users, without one fold."""


def without(fold: int, n_users: int) -> NDArray[np.int64]:
    """Training users outside a fold, ascending."""
    return np.flatnonzero(np.arange(n_users) % FOLDS != fold)


def steps_of(users: NDArray[np.int64], size: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Cut a permutation of the users into steps of about ``size`` that keep to one fold, in random order."""
    steps = []
    for fold in range(FOLDS):
        members = users[users % FOLDS == fold]
        if len(members):
            steps += np.array_split(members, _steps(len(members), size))
    return [steps[place] for place in rng.permutation(len(steps))]


def n_steps(users_F: NDArray[np.int64], size: int) -> int:
    """How many steps :func:`steps_of` makes of so many users by fold."""
    return sum(_steps(int(users), size) for users in users_F if users)


def _steps(users: int, size: int) -> int:
    return max(1, round(users / size))
