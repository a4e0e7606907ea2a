"""Where learning starts, by objective: what is known of items and events before any gradient.

Counts and one eigendecomposition over the training users. Knows nothing of configurations or optimisers.

Shapes: U training users, N catalogue, D embedding, R signals, E events.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from engine.data.histories import Histories
from engine.learning.objectives import Click, Objective, Ranking, Rating
from engine.learning.spectral import item_factors

UNWANTED_TARGET = 0.2
"""Of an event that is not wanted, in a ranking: it still says that the item was met."""
SCALE = 4.0
"""Of the scores of a ranking and of log-odds. Ratings start at 1: they are in their own unit."""
MEAN_SHRINK = 5.0
"""Ratings of the global mean that each item's mean is averaged with."""
USER_SHRINK = 5.0
"""The same for a user's deviation from the items' means."""
MET_SHARE, MET_LENGTH = 0.375, 0.5
"""Of a rating model's dimensions, those that say who met an item; and their length beside the others."""


@dataclass(frozen=True)
class Start:
    """The parts of a model that counting gives."""

    spectral_ND: NDArray[np.float32]
    base_N: NDArray[np.float32]
    target_R: NDArray[np.float32]
    scale: float
    objective: Objective


@dataclass(frozen=True)
class Known:
    """What is counted."""

    histories: Histories  # of the training users
    n_items: int
    relevant: NDArray[np.bool_]  # (R,)
    value: NDArray[np.float64]  # (R,) the number each signal stands for, or NaN
    popularity: NDArray[np.float64]  # (N,) expected number of wanted events after the support


def ranking_start(known: Known, dim: int, shrink: float) -> Start:
    """Base measure: log-popularity. Wanted events have target 1."""
    target = np.where(known.relevant, 1.0, UNWANTED_TARGET)
    base = np.log(known.popularity + 0.5)
    return Start(_cooccurrence(known, dim, shrink), _f32(base), _f32(target), SCALE, Ranking())


def click_start(known: Known, dim: int, shrink: float) -> Start:
    """Base measure: log-odds that a user will want the item. Events are 1 or 0 as they are wanted."""
    share = np.minimum((known.popularity + 0.5) / (known.histories.n_users + 1), 0.99)
    base = np.log(share / (1 - share))
    return Start(_cooccurrence(known, dim, shrink), _f32(base), _f32(known.relevant), SCALE, Click())


def rating_start(known: Known, dim: int, shrink: float) -> Start:
    """Base measure: the item's mean, shrunk to the global one. An event's target is its number.

    Most dimensions of an item say which users rated it above what was to be expected; some who met it at
    all, since what people choose to rate tells their taste too (Koren 2008, SVD++); the last is 1 for every
    item, so that a user's own level is a part of w.
    """
    value = known.value[known.histories.signal]
    told = np.isfinite(value)
    centre, spread = float(value[told].mean()), max(float(value[told].std()), 1e-6)
    user, item = known.histories.user_row[told], known.histories.item_row[told]
    rest = (value[told] - centre) / spread
    base = _shrunk_mean(rest, item, known.n_items, MEAN_SHRINK)
    rest = rest - base[item]
    rest = rest - _shrunk_mean(rest, user, known.histories.n_users, USER_SHRINK)[user]
    shape = (known.histories.n_users, known.n_items)
    met = int(MET_SHARE * (dim - 1))
    rated_ND = item_factors(user, item, shape, dim - 1 - met, shrink, rest)
    met_ND = MET_LENGTH * item_factors(user, item, shape, met, shrink)
    factors = np.hstack([rated_ND, met_ND, np.ones((known.n_items, 1))])
    target = np.nan_to_num((known.value - centre) / spread, nan=0.0)
    numbers = (torch.tensor(v, dtype=torch.float32) for v in (known.value, centre, spread))
    return Start(_f32(factors), _f32(base), _f32(target), 1.0, Rating(*numbers))


STARTS = {"ranking": ranking_start, "click": click_start, "rating": rating_start}


def _cooccurrence(known: Known, dim: int, shrink: float) -> NDArray[np.float32]:
    histories, shape = known.histories, (known.histories.n_users, known.n_items)
    return item_factors(histories.user_row, histories.item_row, shape, dim, shrink)


def _shrunk_mean(
    value_E: NDArray[np.float64], group_E: NDArray[np.int64], n: int, shrink: float
) -> NDArray[np.float64]:
    """Mean of each group, averaged with ``shrink`` zeros."""
    total = np.bincount(group_E, value_E, minlength=n)
    return np.asarray(total / (np.bincount(group_E, minlength=n) + shrink))


def _f32(values: NDArray[np.generic]) -> NDArray[np.float32]:
    return values.astype(np.float32)
