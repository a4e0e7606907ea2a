"""Histories from plain arrays of events: the readable way, for tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.data.histories import Histories


def group_by_user(
    user_row: NDArray[np.int64],
    item_row: NDArray[np.int64],
    signal: NDArray[np.int64],
    timestamp: NDArray[np.float64],
    n_users: int,
) -> Histories:
    """Sort events by (user, timestamp, item row); undated events stand before dated ones."""
    order = np.lexsort((item_row, np.nan_to_num(timestamp, nan=-np.inf), user_row))
    start = np.concatenate([[0], np.cumsum(np.bincount(user_row, minlength=n_users))])
    return Histories(start, item_row[order], signal[order], timestamp[order])
