"""Where learning starts, by objective: what is known of items and events before any gradient.

Counts and one eigendecomposition over the training users. Knows nothing of configurations or optimisers.

Shapes: U training users, N catalogue, D embedding, R signals, E events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from engine.data.histories import Histories
from engine.learning.folds import FOLDS, SHARE_LEFT, without
from engine.learning.items import Parts
from engine.learning.objectives import Click, Objective, Ranking, Rating
from engine.learning.spectral import factors_of, item_factors

UNWANTED_TARGET = 0.2
"""Of an event that is not wanted, in a ranking: it still says that the item was met."""
SCALE = 4.0
"""Of the scores of a ranking and of log-odds. Ratings start at 1: they are in their own unit."""
MEAN_SHRINK = 5.0
"""Ratings of the global mean that each item's mean is averaged with."""
USER_SHRINK = 5.0
"""The same for a user's deviation from the items' means."""
CROSS_FITTED = 200_000
"""Items up to which every fold has embeddings of its own: five times their memory."""
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
    parts: Parts | None = None  # without each fold; None: training users see what all users say


@dataclass(frozen=True)
class Known:
    """What is counted."""

    histories: Histories  # of the training users
    n_items: int
    relevant: NDArray[np.bool_]  # (R,)
    value: NDArray[np.float64]  # (R,) the number each signal stands for, or NaN
    count: Callable[
        [Histories], NDArray[np.float64]
    ]  # (N,) expected number of wanted events after the support


def ranking_start(known: Known, dim: int, shrink: float) -> Start:
    """Base measure: log-popularity. Wanted events have target 1."""
    target = np.where(known.relevant, 1.0, UNWANTED_TARGET)

    def base(histories: Histories, share: float) -> NDArray[np.float32]:
        return ranking_base(known.count(histories) / share)

    return _of_events(known, dim, shrink, base, _f32(target), Ranking())


def click_start(known: Known, dim: int, shrink: float) -> Start:
    """Base measure: log-odds that a user will want the item. Events are 1 or 0 as they are wanted."""

    def base(histories: Histories, share: float) -> NDArray[np.float32]:
        return click_base(known.count(histories) / share, known.histories.n_users)

    return _of_events(known, dim, shrink, base, _f32(known.relevant), Click())


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
    base = shrunk_mean(rest, item, known.n_items, MEAN_SHRINK)
    rest = rest - base[item]
    rest = rest - shrunk_mean(rest, user, known.histories.n_users, USER_SHRINK)[user]
    shape = (known.histories.n_users, known.n_items)
    met = met_dims(dim)
    rated_ND = item_factors(user, item, shape, dim - 1 - met, shrink, rest)
    factors = joined(rated_ND, item_factors(user, item, shape, met, shrink))
    target = np.nan_to_num((known.value - centre) / spread, nan=0.0)
    numbers = (torch.tensor(v, dtype=torch.float32) for v in (known.value, centre, spread))
    return Start(factors, _f32(base), _f32(target), 1.0, Rating(*numbers))


STARTS = {"ranking": ranking_start, "click": click_start, "rating": rating_start}


def _of_events(
    known: Known,
    dim: int,
    shrink: float,
    base: Callable[[Histories, float], NDArray[np.float32]],
    target_R: NDArray[np.float32],
    objective: Objective,
) -> Start:
    """Embeddings from co-occurrence; they and the base measure also without each fold of users.

    Args:
        base: (N,) of some users' histories, who are a share of all.
    """
    histories, shape = known.histories, (known.histories.n_users, known.n_items)
    pairs = (histories.user_row, histories.item_row, shape)
    factors = item_factors(*pairs, dim, shrink)
    parts = None
    if known.n_items <= CROSS_FITTED:
        of = factors_of(*pairs, factors, shrink)
        rest = [without(fold, histories.n_users) for fold in range(FOLDS)]
        others = [histories.take(users) for users in rest]
        met = [np.bincount(h.item_row, minlength=known.n_items) > 0 for h in others]
        stacked = (
            np.stack([of(np.isin(np.arange(histories.n_users), users), SHARE_LEFT) for users in rest]),
            np.stack([base(h, SHARE_LEFT) for h in others]),
            np.stack(met),
        )
        parts = Parts(*map(torch.from_numpy, stacked))
    return Start(factors, base(histories, 1.0), target_R, SCALE, objective, parts)


def ranking_base(wanted_N: NDArray[np.float64]) -> NDArray[np.float32]:
    """Log-popularity, by the expected number of wanted events."""
    return _f32(np.log(wanted_N + 0.5))


def click_base(wanted_N: NDArray[np.float64], n_users: int) -> NDArray[np.float32]:
    """Log-odds that a user will want the item."""
    chance_N = np.minimum((wanted_N + 0.5) / (n_users + 1), 0.99)
    return _f32(np.log(chance_N / (1 - chance_N)))


def met_dims(dim: int) -> int:
    """Dimensions of a rating model that say who met an item."""
    return int(MET_SHARE * (dim - 1))


def joined(rated_ND: NDArray[np.float32], met_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    """All dimensions of a rating model."""
    return _f32(np.hstack([rated_ND, MET_LENGTH * met_ND, np.ones((len(rated_ND), 1))]))


def known_shares(histories: Histories, n_items: int) -> NDArray[np.float32]:
    """The share of users who met each item, wanted or not, (N,)."""
    return _f32(users_who_met(histories, n_items) / histories.n_users)


def users_who_met(histories: Histories, n_items: int) -> NDArray[np.int64]:
    """How many users met each item, (N,)."""
    once = np.unique(histories.user_row * n_items + histories.item_row) % n_items
    return np.bincount(once, minlength=n_items)


def shrunk_mean(
    value_E: NDArray[np.float64], group_E: NDArray[np.int64], n: int, shrink: float
) -> NDArray[np.float64]:
    """Mean of each group, averaged with ``shrink`` zeros."""
    total = np.bincount(group_E, value_E, minlength=n)
    return np.asarray(total / (np.bincount(group_E, minlength=n) + shrink))


def _f32(values: NDArray[np.generic]) -> NDArray[np.float32]:
    return values.astype(np.float32)
