"""Sees what is probably not meant in a table that can be read: numbers beside a few texts.

Knows nothing of roles or of the contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from engine.data.features.kinds import SAMPLE
from engine.data.tables.cells import as_number

MOSTLY = 0.7  # share of numbers from which on the other cells are odd
SHOWN = 3


class Doubt(NamedTuple):
    what: str
    fix: str
    rows: tuple[str, ...]


def nearly_numbers(name: str, column: pa.ChunkedArray) -> Doubt | None:
    """A column of text that is mostly numbers: what its other cells hold."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return None
    cells = column.slice(0, SAMPLE).to_pylist()
    number = np.array([_is_number(cell) for cell in cells])
    given = np.array([bool(cell) for cell in cells])
    odd = np.flatnonzero(given & ~number)
    if not len(odd) or number.sum() < MOSTLY * given.sum() or _codes(cells):
        return None
    rows = tuple(f"row {row + 1}: {name}={cells[row]!r}" for row in odd[:SHOWN].tolist())
    share = number.sum() / given.sum()
    of = f"{len(odd):,} of {int(given.sum()):,} cells"
    return Doubt(
        f"{share:.1%} of the cells are numbers, but {of} are not, so it is not taken as a number",
        "Leave these cells empty if it is a number.",
        rows,
    )


def _codes(cells: Sequence[str | None]) -> bool:
    """Numbers with leading zeros are codes, among which letters are nothing odd."""
    return any(cell is not None and len(cell) > 1 and cell[0] == "0" and cell.isdigit() for cell in cells)


def _is_number(cell: str | None) -> bool:
    try:
        return bool(cell) and np.isfinite(as_number(cell))
    except ValueError:
        return False
