"""What is sent to a worker: its shares of some steps that follow one another, as one row of an Arrow table.

Knows nothing of Ray, or of where rows come from and go to.

Shapes: B users of one share, F user features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.data.histories import Histories
from engine.learning.batches import Batch

STEPS = 16
"""Steps in a row, at most: each row costs Ray Data some milliseconds."""


class Share(NamedTuple):
    """A worker's part of a step, and which step it is."""

    pass_: int
    step: int
    batch: Batch


def to_row(shares: Sequence[Share], rank: int, world: int) -> pa.Table:
    """One row; the steps follow one another in one pass."""
    batches = [share.batch for share in shares]
    histories = [batch.histories for batch in batches]
    flat = {
        "fold": [batch.fold for batch in batches],
        "step_users": [batch.step_users for batch in batches],
        "users_in": [len(batch.users) for batch in batches],
        "user": np.concatenate([batch.users for batch in batches]),
        "user_id": [user_id for batch in batches for user_id in batch.user_ids],
        "length": np.concatenate([h.lengths for h in histories]).astype(np.int32),
        "item_row": np.concatenate([h.item_row for h in histories]).astype(np.int32),
        "signal": np.concatenate([h.signal for h in histories]).astype(np.int16),
        "timestamp": np.concatenate([h.timestamp for h in histories]),
        "user_x": np.concatenate([batch.user_x.ravel() for batch in batches]),
    }
    place = {"pass": shares[0].pass_, "first": shares[0].step, "rank": rank, "world": world}
    place["n_features"] = batches[0].user_x.shape[1]
    columns = {name: pa.array([value], pa.int32()) for name, value in place.items()}
    return pa.table(columns | {name: _one_list(values) for name, values in flat.items()})


def from_row(row: pa.Table) -> Iterator[Share]:
    """The shares of a row, in order."""
    values = {name: _whole(row[name]) for name in row.column_names}
    pass_, first, rank, world = (int(values[name][0]) for name in ("pass", "first", "rank", "world"))
    lengths = values["length"].astype(np.int64)
    everyone = Histories(
        np.concatenate([[0], np.cumsum(lengths)]),
        *(values[name].astype(np.int64) for name in ("item_row", "signal")),
        values["timestamp"],
    )
    user_x = values["user_x"].reshape(len(lengths), int(values["n_features"][0]))
    ends = np.cumsum([0, *values["users_in"]])
    for n, (low, high) in enumerate(pairwise(ends.tolist())):
        batch = Batch(
            values["user"][low:high],
            values["user_id"][low:high].tolist(),
            everyone.take(np.arange(low, high)),
            user_x[low:high],
            int(values["fold"][n]),
            slice(rank, None, world),
            int(values["step_users"][n]),
        )
        yield Share(pass_, first + n, batch)


def _one_list(values: Sequence[Any] | NDArray[Any]) -> pa.ListArray:
    flat = pa.array(values, pa.string()) if _are_strings(values) else pa.array(np.asarray(values))
    return pa.ListArray.from_arrays(pa.array([0, len(flat)], pa.int32()), flat)


def _are_strings(values: Sequence[Any] | NDArray[Any]) -> bool:
    return isinstance(values, list) and (not values or isinstance(values[0], str))


def _whole(column: pa.ChunkedArray) -> NDArray[Any]:
    """All values of a column of one row."""
    array = column.combine_chunks()
    flat = array.flatten() if pa.types.is_list(array.type) else array
    return np.asarray(flat.to_numpy(zero_copy_only=False))
