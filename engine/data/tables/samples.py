"""Reads a part of large tables where a look is enough: some row groups of parquet, the beginning of text.

Knows nothing of what the tables hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from engine.data.tables.files import Piece, pieces_of_file, table_format

ROWS = 1_500_000
ROW_BYTES = 40  # of a row of text, roughly


@dataclass(frozen=True)
class Sample:
    """What to read of a table, and how much that is."""

    pieces: list[Piece]
    whole: bool
    rows: int | None  # of all files where known: text does not say


def sample(files: Sequence[Path], rows: int = ROWS) -> Sample:
    """About ``rows`` rows of a table in several files: all of it where it is no larger.

    Row groups are taken at equal distances over all files, so that files in order of time are seen from
    their beginning to their end; of each the first rows, if there are too many.

    Raises:
        DataError: a file is not what its name says.
    """
    parquet = [path for path in files if table_format(path) == "parquet"]
    text = [path for path in files if path not in parquet]
    groups, total = _groups(parquet)
    share = rows if not text else rows // 2
    chosen, all_parquet = (groups, True) if total <= share else (_spread(groups, share), False)
    most = (rows if not parquet else rows // 2) * ROW_BYTES // max(len(text), 1)
    all_text = all(path.stat().st_size <= most for path in text)
    read = [Piece(str(path), path, most=0 if path.stat().st_size <= most else most) for path in text]
    return Sample([*chosen, *read], all_parquet and all_text, total if not text else None)


def _groups(files: Sequence[Path]) -> tuple[list[Piece], int]:
    """Every row group as a piece of its own, and the number of rows."""
    groups, total = [], 0
    for path in files:
        for piece in pieces_of_file(path):
            if piece.table is not None:  # a file without row groups
                groups.append(piece)
                continue
            first, metadata = piece.first_row, pq.read_metadata(path)
            for group in piece.row_groups:
                groups.append(replace(piece, row_groups=(group,), first_row=first))
                first += metadata.row_group(group).num_rows
        total += pq.read_metadata(path).num_rows
    return groups, total


def _spread(groups: Sequence[Piece], rows: int) -> list[Piece]:
    count = min(len(groups), 8)
    places = sorted({round(i * (len(groups) - 1) / max(count - 1, 1)) for i in range(count)})
    return [replace(groups[place], most=max(rows // len(places), 1)) for place in places]
