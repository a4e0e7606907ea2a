"""Keeps account of rows that cannot be used: which file, which column, how many, and the first few.

Either they stop the work with one error that shows them, or they are dropped and counted. Knows nothing
of which rows are bad.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.errors import DataError

Mark = tuple[NDArray[np.bool_], str, str]  # which rows, the column, the reason

SHOWN = 3  # bad rows quoted for each reason
MAX_CELL = 40


@dataclass(frozen=True)
class BadRows:
    """Rows of one file that are bad for one reason."""

    file: str
    column: str  # empty: the row as a whole
    reason: str
    count: int
    total: int  # rows read from the file, or the piece of it
    examples: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"file": self.file, "column": self.column, "reason": self.reason, "rows": self.count}


@dataclass(frozen=True)
class FileTable:
    """Rows read from a file, their numbers in it (from 1, the header not counted), and what was bad."""

    name: str
    table: pa.Table
    row_number: NDArray[np.int64]
    bad: tuple[BadRows, ...] = ()

    def with_table(self, table: pa.Table) -> FileTable:
        return replace(self, table=table)

    def sort_out(self, marks: Sequence[Mark], table: pa.Table | None = None) -> FileTable:
        """The rows that no mark hits, of ``table`` (same rows) where given; the others are put down.

        A row counts once, for the first mark that hits it.
        """
        bad = np.zeros(len(self.row_number), dtype=np.bool_)
        entries = list(self.bad)
        for mask, column, reason in marks:
            rows = np.flatnonzero(mask & ~bad)
            if len(rows):
                shown = tuple(self._quote(int(row)) for row in rows[:SHOWN])
                entries.append(BadRows(self.name, column, reason, len(rows), len(bad), shown))
                bad[rows] = True
        kept = self.table if table is None else table
        if not bad.any():
            return FileTable(self.name, kept, self.row_number, self.bad)
        return FileTable(self.name, kept.filter(pa.array(~bad)), self.row_number[~bad], tuple(entries))

    def _quote(self, row: int) -> str:
        cells = self.table.slice(row, 1).to_pylist()[0].items()
        return f"row {self.row_number[row]}: " + ", ".join(f"{name}={_cell(v)}" for name, v in cells)


def stop_if_any(bad: Sequence[BadRows]) -> None:
    """Raise one DataError that shows the first bad rows of every file and reason."""
    if not bad:
        return
    first, count = bad[0], sum(b.count for b in bad)
    place = f"{first.file}, column {first.column}" if first.column else first.file
    quotes = [_quoted(b) for b in bad[:SHOWN]]
    more = f"\n  and {len(bad) - SHOWN} more kinds of bad rows" if len(bad) > SHOWN else ""
    raise DataError(
        f"{count:,} bad row{'s' if count > 1 else ''}: {first.reason}",
        where=place,
        fix="Correct them, or leave them out with --on-bad-rows drop:" + "".join(quotes) + more,
    )


def _quoted(bad: BadRows) -> str:
    place = f"{bad.file}, {bad.column}" if bad.column else bad.file
    heading = f"{place}: {bad.reason} ({bad.count:,} of {bad.total:,} rows)"
    return "\n  " + "\n    ".join((heading, *bad.examples))


def _cell(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MAX_CELL else f"{text[: MAX_CELL - 3]}..."
