"""Groups encoded events into episode rows, one row a user, and cuts users into shards of like size.

Knows nothing of files, ids or of where it runs: the same function serves one process and each partition of
a distributed shuffle.

Shapes: E events, U users.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.data.histories import Histories

T = TypeVar("T", bound=np.generic)

SHARD_EVENTS = 2_000_000
SCHEMA = pa.schema(
    {
        "user_row": pa.int32(),
        "user_id": pa.string(),
        "item_row": pa.list_(pa.int32()),
        "signal": pa.list_(pa.int16()),
        "timestamp": pa.list_(pa.float64()),
    }
)


def episode_rows(events: pa.Table, user_ids: pa.Array) -> pa.Table:
    """One row a user that has events, in the order of user_row (see ``SCHEMA``).

    A user's events are sorted by (timestamp, item_row, signal), the undated before the dated, so the result
    does not depend on the order of ``events``. A missing timestamp is NaN.

    Args:
        events: user_row, item_row, signal, timestamp; one row an event.
        user_ids: ids by user_row, (U,).
    """
    user, item = (events[c].to_numpy().astype(np.int64) for c in ("user_row", "item_row"))
    signal = events["signal"].to_numpy().astype(np.int16)
    timestamp = events["timestamp"].to_numpy()
    order = _order(user, timestamp, item, signal)
    user = user[order]
    first = np.flatnonzero(np.diff(user, prepend=-1))
    offsets = pa.array(np.append(first, len(user)).astype(np.int32))
    rows = pa.array(user[first].astype(np.int32))
    flat = (item.astype(np.int32), signal, timestamp)
    lists = [pa.ListArray.from_arrays(offsets, pa.array(values[order])) for values in flat]
    return pa.Table.from_arrays([rows, user_ids.take(rows), *lists], schema=SCHEMA)


def shard_of_user(events_of_user: NDArray[np.int64], shard_events: int = SHARD_EVENTS) -> NDArray[np.int64]:
    """The shard of each user (U,), ascending from 0 without gaps: runs of users of ``shard_events`` or so."""
    before = np.cumsum(events_of_user) - events_of_user
    return np.asarray(np.unique(before // shard_events, return_inverse=True)[1], dtype=np.int64)


def histories_of(shards: Sequence[pa.Table]) -> Histories:
    """All episode rows, in order, as flat arrays."""
    items, signals, timestamps = (
        [shard[c].combine_chunks() for shard in shards] for c in ("item_row", "signal", "timestamp")
    )
    lengths = [np.diff(column.offsets.to_numpy()) for column in items]
    start = np.cumsum(np.concatenate([[0], *lengths]), dtype=np.int64)
    return Histories(start, _flat(items, np.int64), _flat(signals, np.int64), _flat(timestamps, np.float64))


def _flat(lists: Sequence[pa.ListArray], dtype: type[T]) -> NDArray[T]:
    return np.concatenate([np.empty(0, dtype), *(column.flatten().to_numpy() for column in lists)]).astype(
        dtype
    )


def _order(
    user: NDArray[np.int64],
    timestamp: NDArray[np.float64],
    item: NDArray[np.int64],
    signal: NDArray[np.int16],
) -> NDArray[np.int64]:
    """Positions sorted by (user, timestamp with NaN first, item, signal)."""
    what = item * (int(signal.max(initial=0)) + 1) + signal
    return np.lexsort((what, np.nan_to_num(timestamp, nan=-np.inf), user))
