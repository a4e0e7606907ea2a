"""The two passes over the events of ``prepare`` on a Ray cluster: Ray tasks count, Ray Data groups by user.

Each piece is read where it is needed, so the driver never holds more than the shard it writes. The functions
that do the work are those of ``grouping``, hence equal results. Knows nothing of what events mean.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray
from numpy.typing import NDArray

from engine.data.shards import episode_rows
from engine.data.tables.files import Piece
from engine.data.tables.interactions import Lookup, Tally
from engine.errors import FirstclickError
from jobs.preparing.grouping import COUNTING, GROUPING, Progress, count

MAX_PARTITIONS = 64  # each is a bucket of the shuffle; Ray Data's default of 200 is slow for small data


class OnRay:
    """Needs a connected Ray; the files must be readable at the same paths on every node."""

    def __init__(self, pieces: Sequence[Piece], columns: Mapping[str, str]) -> None:
        self._pieces, self._columns = list(pieces), dict(columns)

    def tally(self, progress: Progress) -> Tally:
        remote = ray.remote(_tally)
        waiting = [remote.remote(piece, self._columns) for piece in self._pieces]
        total = Tally()
        for done, reference in enumerate(waiting, start=1):
            total.add(_get(reference))
            progress(COUNTING, done, len(waiting))
        return total

    def shards(
        self, lookup: Lookup, shard_of_user: NDArray[np.int64], progress: Progress
    ) -> Iterator[tuple[int, pa.Table]]:
        _hush()
        pieces, columns = self._pieces, self._columns
        shared = ray.put((lookup, shard_of_user))  # once per node, not once per task

        def encode(batch: pa.Table) -> pa.Table:
            lookup, shard_of_user = ray.get(shared)
            tables = [lookup.encode(count(pieces[i], columns)[1]) for i in batch["piece"].to_pylist()]
            events = pa.concat_tables(tables)
            return events.append_column("shard", pa.array(shard_of_user[events["user_row"].to_numpy()]))

        def group(events: pa.Table) -> pa.Table:
            lookup, shard_of_user = ray.get(shared)
            rows = episode_rows(events, lookup.user_ids)
            return rows.append_column("shard", pa.array(shard_of_user[rows["user_row"].to_numpy()]))

        users_in = np.bincount(shard_of_user)
        indices = [{"piece": i} for i in range(len(pieces))]
        grouped = (
            ray.data.from_items(indices, override_num_blocks=len(indices))
            .map_batches(encode, batch_size=1, batch_format="pyarrow")
            .groupby("shard", num_partitions=min(len(users_in), MAX_PARTITIONS))
            .map_groups(group, batch_format="pyarrow")
        )
        blocks = grouped.iter_batches(batch_size=None, batch_format="pyarrow")
        for done, shard in enumerate(_whole_shards(blocks, users_in), start=1):
            yield shard
            progress(GROUPING, done, len(users_in))


def _hush() -> None:
    """Progress goes to the caller's hook: without this Ray Data prints its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Ray 2.60 warns of its own defaults
        context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    for name in ("execution.streaming_executor", "progress"):
        logging.getLogger(f"ray.data._internal.{name}").setLevel(logging.ERROR)


def _get(reference: ray.ObjectRef[Tally]) -> Tally:
    """The result of a task; our own errors as they were raised there."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, FirstclickError):
            raise error.cause from None
        raise


def _tally(piece: Piece, columns: Mapping[str, str]) -> Tally:
    return count(piece, columns)[0]


def _whole_shards(blocks: Iterable[pa.Table], users_in: NDArray[np.int64]) -> Iterator[tuple[int, pa.Table]]:
    """Put shards together again where Ray Data has cut them into blocks; each is given out once complete."""
    parts: dict[int, list[pa.Table]] = {}
    for block in blocks:
        for number in np.unique(block["shard"].to_numpy()).tolist():
            rows = block.filter(pc.equal(block["shard"], number)).drop_columns(["shard"])
            mine = parts.setdefault(number, [])
            mine.append(rows)
            if sum(part.num_rows for part in mine) == users_in[number]:
                yield number, pa.concat_tables(parts.pop(number)).sort_by("user_row")
    if parts:
        raise RuntimeError(f"Ray Data has lost users of shards {sorted(parts)}")
