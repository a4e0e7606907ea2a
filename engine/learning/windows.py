"""A pass over users that do not fit in memory: windows of pieces, each shuffled and cut into steps by itself.

The order of the pieces, the windows and the steps depend on (seed, pass) alone, and a window's steps can be
counted without reading it, so a run is resumed at any step without reading what lies before. Where one window
holds everyone, its steps are those of ``batches.InMemory``. Knows nothing of files or of Ray.

Shapes: P pieces, B users of a window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.learning.folds import FOLDS, n_steps, steps_of

WINDOW_USERS = 16_384
"""Training users shuffled together; with their events they take some tens of megabytes."""
_ORDER, _WINDOW = 1, 2  # keep the two draws of a pass apart


@dataclass(frozen=True)
class Window:
    """Some pieces of a pass."""

    pass_: int
    number: int  # in its pass
    pieces: tuple[int, ...]
    first: int  # the step of the pass that its first step is


def windows(
    seed: int, pass_: int, users_PF: NDArray[np.int64], size: int, window_users: int = WINDOW_USERS
) -> Iterator[Window]:
    """The windows of a pass, in order, without those that have no step.

    Args:
        users_PF: training users by piece and fold.
        size: users in a step, about.
    """
    order = np.random.default_rng([seed, pass_, _ORDER, len(users_PF)]).permutation(len(users_PF))
    before = np.cumsum(users_PF[order].sum(axis=1)) - users_PF[order].sum(axis=1)
    first = 0
    for number, members in enumerate(_runs(order, before // window_users)):
        steps = n_steps(users_PF[members].sum(axis=0), size)
        if steps:
            yield Window(pass_, number, tuple(sorted(members.tolist())), first)
        first += steps


def _runs(order: NDArray[np.int64], label: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Neighbours with the same label."""
    return np.split(order, np.flatnonzero(np.diff(label)) + 1)


def steps_in(window: Window, numbers: NDArray[np.int64], size: int, seed: int) -> list[NDArray[np.int64]]:
    """The steps of a window, each an array of users' numbers.

    Args:
        numbers: of the window's training users, ascending, (B,).
    """
    place = [seed, window.pass_] if window.number == 0 else [seed, window.pass_, _WINDOW, window.number]
    rng = np.random.default_rng(place)
    return steps_of(numbers[rng.permutation(len(numbers))], size, rng)


def fold_counts(number_U: NDArray[np.int32], firsts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Training users by piece and fold, (P, FOLDS).

    Args:
        number_U: number of each user of the data set among the training users, or -1.
        firsts: the first user of each piece, ascending.
    """
    users = np.flatnonzero(number_U >= 0)
    piece = np.searchsorted(firsts, users, side="right") - 1
    counts = np.bincount(piece * FOLDS + number_U[users] % FOLDS, minlength=len(firsts) * FOLDS)
    return counts.reshape(len(firsts), FOLDS).astype(np.int64)
