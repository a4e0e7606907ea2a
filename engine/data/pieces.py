"""A prepared data set as pieces: runs of users that can be read by themselves.

A piece is a row group of an episode file. Pieces are numbered in the order of users: user ``u`` of the data
set is row ``u`` of all pieces together. Knows nothing of who trains or of steps.

Shapes: B users of a piece, P pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.data.dataset import EPISODES, ITEMS, USERS

PIECE_USERS = 4096
"""Users in a row group of a new data set."""
ITEMS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Piece:
    """Where a run of users is."""

    path: str
    row_group: int
    first: int  # user
    n_users: int


def pieces_of(folder: Path) -> list[Piece]:
    """All pieces of a data set's episodes, (P), without reading them."""
    pieces: list[Piece] = []
    first = 0
    for path in sorted((folder / EPISODES).glob("part-*.parquet")):
        meta = pq.read_metadata(path)
        for group in range(meta.num_row_groups):
            n_users = meta.row_group(group).num_rows
            pieces.append(Piece(str(path), group, first, n_users))
            first += n_users
    return pieces


def read_piece(piece: Piece) -> pa.Table:
    """The episode rows of a piece, (B)."""
    with pq.ParquetFile(piece.path) as file:
        return file.read_row_group(piece.row_group)


def read_users(folder: Path, pieces: Sequence[Piece]) -> pa.Table:
    """Ids and raw features of the users of some pieces, in the pieces' order."""
    with pq.ParquetFile(folder / USERS) as file:
        sizes = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
        ends = np.cumsum(sizes)
        return pa.concat_tables([_rows(file, ends, piece.first, piece.n_users) for piece in pieces])


def read_items(folder: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Some raw features of all items, in order, in runs of items."""
    with pq.ParquetFile(folder / ITEMS) as file:
        for batch in file.iter_batches(ITEMS_AT_ONCE, columns=["item_id", *columns]):
            yield pa.Table.from_batches([batch])


def _rows(
    file: pq.ParquetFile, ends: np.ndarray[tuple[int], np.dtype[np.int64]], first: int, n: int
) -> pa.Table:
    """A run of rows, out of the row groups that hold it; ``ends`` says where each of these ends."""
    low, high = (int(np.searchsorted(ends, row, side="right")) for row in (first, first + n - 1))
    start = int(ends[low - 1]) if low else 0
    return file.read_row_groups(list(range(low, high + 1))).slice(first - start, n)
