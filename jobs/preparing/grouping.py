"""The two passes over the events of ``prepare`` in this process: count what occurs, then group by user.

``OnRay`` in ``ray_grouping`` does the same on a cluster, out of the same functions. Knows nothing of Ray.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.data.shards import episode_rows
from engine.data.tables.files import Piece, read_piece
from engine.data.tables.interactions import Lookup, Tally, clean

Progress = Callable[[str, int, int | None], None]  # step, how many are done, of how many (None: not known)
COUNTING, GROUPING = "counting events", "grouping by user"


class Grouping(Protocol):
    """How the events are gone through, twice."""

    def tally(self, progress: Progress) -> Tally:
        """Count what occurs in all pieces, and collect their bad rows, piece by piece."""

    def shards(
        self, lookup: Lookup, shard_of_user: NDArray[np.int64], progress: Progress
    ) -> Iterator[tuple[int, pa.Table]]:
        """(number, episode rows) of each shard, in any order."""


def count(piece: Piece, columns: Mapping[str, str]) -> tuple[Tally, pa.Table]:
    """Read and clean one piece: what occurs in it, and its good events."""
    read = read_piece(piece, columns)
    cleaned = clean(read)
    return Tally.of(read.table.column_names, cleaned), cleaned.table


class InProcess:
    """Keeps the cleaned events in memory between the passes."""

    def __init__(self, pieces: Sequence[Piece], columns: Mapping[str, str]) -> None:
        self._pieces, self._columns = pieces, columns
        self._cleaned: list[pa.Table] = []

    def tally(self, progress: Progress) -> Tally:
        total = Tally()
        for done, piece in enumerate(self._pieces, start=1):
            counts, cleaned = count(piece, self._columns)
            total.add(counts)
            self._cleaned.append(cleaned)
            progress(COUNTING, done, len(self._pieces))
        return total

    def shards(
        self, lookup: Lookup, shard_of_user: NDArray[np.int64], progress: Progress
    ) -> Iterator[tuple[int, pa.Table]]:
        events = pa.concat_tables([lookup.encode(cleaned) for cleaned in self._cleaned])
        rows = episode_rows(events, lookup.user_ids)
        users_in = np.bincount(shard_of_user)
        starts = np.cumsum(users_in) - users_in
        for number, (start, length) in enumerate(zip(starts.tolist(), users_in.tolist(), strict=True)):
            yield number, rows.slice(start, length)
            progress(GROUPING, number + 1, len(users_in))
