"""Where learning starts over a large catalogue, by objective: the counts of ``start``, as sums over a crowd.

Embeddings are those of this worker's rows; they are not cross-fitted. Knows nothing of configurations or
optimisers.

Shapes: B users of a part, N catalogue, L rows of this worker, D embedding, R signals, E events of a part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from engine.data.histories import Histories
from engine.learning.crowd import Crowd, Part, total, total_by_item
from engine.learning.exchange import own_rows
from engine.learning.large_spectral import Entries, own_factors
from engine.learning.objectives import Click, Ranking, Rating
from engine.learning.start import (
    MEAN_SHRINK,
    SCALE,
    UNWANTED_TARGET,
    USER_SHRINK,
    Start,
    click_base,
    joined,
    met_dims,
    ranking_base,
    shrunk_mean,
    users_who_met,
)


@dataclass(frozen=True)
class Tally:
    """What is counted of all items, by all workers."""

    met_N: NDArray[np.float64]  # events
    users_N: NDArray[np.float64]  # who met it
    wanted_N: NDArray[np.float64]  # expected number of wanted events after the support


def tally(crowd: Crowd, n_items: int, expected: Callable[[Histories, int], NDArray[np.float64]]) -> Tally:
    """One reading of the crowd; ``expected``: of some users and so many items."""

    def counts(part: Part, n: int) -> NDArray[np.float64]:
        h = part.histories
        return np.stack([np.bincount(h.item_row, minlength=n), users_who_met(h, n), expected(h, n)])

    return Tally(*total_by_item(crowd, n_items, counts, 3))


@dataclass(frozen=True)
class LargeKnown:
    """What is counted; beside ``start.Known``."""

    crowd: Crowd
    tally: Tally
    relevant: NDArray[np.bool_]  # (R,)
    value: NDArray[np.float64]  # (R,) the number each signal stands for, or NaN

    @property
    def n_items(self) -> int:
        return len(self.tally.met_N)


def ranking_start(known: LargeKnown, dim: int, shrink: float) -> Start:
    """As `start.ranking_start`."""
    target = np.where(known.relevant, 1.0, UNWANTED_TARGET)
    factors = own_factors(lambda: _met(known.crowd), known.n_items, dim, shrink)
    return Start(factors, ranking_base(known.tally.wanted_N), _f32(target), SCALE, Ranking())


def click_start(known: LargeKnown, dim: int, shrink: float) -> Start:
    """As `start.click_start`."""
    factors = own_factors(lambda: _met(known.crowd), known.n_items, dim, shrink)
    base_N = click_base(known.tally.wanted_N, known.crowd.n_users)
    return Start(factors, base_N, _f32(known.relevant), SCALE, Click())


def rating_start(known: LargeKnown, dim: int, shrink: float) -> Start:
    """As `start.rating_start`."""
    crowd, n_items = known.crowd, known.n_items
    centre = _mean(known, lambda value_E: value_E)
    spread = max(_mean(known, lambda value_E: (value_E - centre) ** 2) ** 0.5, 1e-6)

    def by_item(part: Part, n: int) -> NDArray[np.float64]:
        _, item_E, value_E = _told(known, part)
        sums = np.bincount(item_E, (value_E - centre) / spread, minlength=n)
        return np.stack([sums, np.bincount(item_E, minlength=n)])

    sum_N, count_N = total_by_item(crowd, n_items, by_item, 2)
    base_N = sum_N / (count_N + MEAN_SHRINK)

    def rated() -> Iterator[Entries]:
        for part in crowd.parts():
            user_E, item_E, value_E = _told(known, part)
            rest_E = (value_E - centre) / spread - base_N[item_E]
            rest_E = rest_E - shrunk_mean(rest_E, user_E, len(part.numbers), USER_SHRINK)[user_E]
            yield Entries(len(part.numbers), user_E, item_E, rest_E)

    met = met_dims(dim)
    rated_LD = own_factors(rated, n_items, dim - 1 - met, shrink)
    met_LD = own_factors(
        lambda: (entries._replace(value_E=None) for entries in rated()), n_items, met, shrink
    )
    target = np.nan_to_num((known.value - centre) / spread, nan=0.0)
    numbers = (torch.tensor(v, dtype=torch.float32) for v in (known.value, centre, spread))
    return Start(joined(rated_LD, met_LD), _f32(base_N), _f32(target), 1.0, Rating(*numbers))


LARGE_STARTS = {"ranking": ranking_start, "click": click_start, "rating": rating_start}


def known_rows(tally: Tally, n_users: int) -> torch.Tensor:
    """The share of users who met each item of this worker, (L,)."""
    own = own_rows(len(tally.users_N)).numpy()
    return torch.from_numpy(_f32(tally.users_N[own] / n_users))


def _met(crowd: Crowd) -> Iterator[Entries]:
    for part in crowd.parts():
        yield Entries(len(part.numbers), part.histories.user_row, part.histories.item_row)


def _told(known: LargeKnown, part: Part) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """User, item and number of the events that carry one, (E,) each."""
    value_E = known.value[part.histories.signal]
    told = np.isfinite(value_E)
    return part.histories.user_row[told], part.histories.item_row[told], value_E[told]


def _mean(known: LargeKnown, of: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> float:
    """The mean of something over all numbers that events carry."""

    def sums(part: Part) -> NDArray[np.float64]:
        value_E = _told(known, part)[2]
        return np.array([of(value_E).sum(), len(value_E)])

    total_, n = total(known.crowd, sums)
    return float(total_ / n)


def _f32(values: NDArray[np.generic]) -> NDArray[np.float32]:
    return values.astype(np.float32)
