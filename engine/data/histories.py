"""Everyone's events as flat arrays, one contiguous run a user.

Knows nothing of files, of feature columns or of learning.

Shapes: U users, E events.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Histories:
    """Events grouped by user, each run in time order (ties by item row, undated events first).

    The layout is that of a sparse matrix in CSR form: user ``u`` owns the events
    ``start[u]:start[u + 1]``.
    """

    start: NDArray[np.int64]  # (U + 1,)
    item_row: NDArray[np.int64]  # (E,)
    signal: NDArray[np.int64]  # (E,) index into the data set's signal table
    timestamp: NDArray[np.float64]  # (E,) Unix seconds, NaN where unknown

    @property
    def n_users(self) -> int:
        return len(self.start) - 1

    @property
    def n_events(self) -> int:
        return int(self.start[-1])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Events per user, (U,)."""
        return np.diff(self.start)

    @property
    def user_row(self) -> NDArray[np.int64]:
        """The user of each event, (E,)."""
        return np.repeat(np.arange(self.n_users), self.lengths)

    def of(self, user: int) -> slice:
        """Where user ``user``'s events are."""
        return slice(int(self.start[user]), int(self.start[user + 1]))

    def take(self, users: NDArray[np.int64]) -> Histories:
        """The histories of ``users`` alone, in that order."""
        lengths = self.lengths[users]
        start = np.concatenate([[0], np.cumsum(lengths)])
        within = np.arange(start[-1]) - np.repeat(start[:-1], lengths)
        events = np.repeat(self.start[users], lengths) + within
        return Histories(start, self.item_row[events], self.signal[events], self.timestamp[events])

    def without(self, items: NDArray[np.bool_]) -> Histories:
        """All users' histories less their events with ``items``, by item row; some may be left empty."""
        if not items.any():
            return self
        kept = ~items[self.item_row]
        start = np.concatenate([[0], np.cumsum(kept)])[self.start]
        return Histories(start, self.item_row[kept], self.signal[kept], self.timestamp[kept])
