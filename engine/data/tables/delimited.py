"""Reads one text file of cells between delimiters; every cell is text, blank ones are missing.

Knows nothing of what the columns mean, or of how files are called.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from engine.data.tables.bad_rows import BadRows, FileTable

OTHER_DELIMITERS = (";", "\t", "|", ",")


def read_delimited(name: str, path: Path, usual: str, most: int = 0) -> FileTable:
    """Read a text file with a header; rows of another length are bad.

    Args:
        name: what it is called in messages.
        usual: what separates its cells by its ending; where the header is one column so, and several by
            another delimiter, that one does.
        most: bytes that are read, from the front; 0: all.

    Raises:
        pyarrow.ArrowException, OSError, UnicodeDecodeError: it cannot be read.
    """
    ragged: list[tuple[int, str, str]] = []  # physical row, reason, text

    def note(row: Any) -> str:
        ragged.append((row.number, f"has {row.actual_columns} cells, not {row.expected_columns}", row.text))
        return "skip"

    if not path.stat().st_size:
        return FileTable(name, pa.table({}), np.empty(0, dtype=np.int64))
    delimiter, header = _header(path, usual)
    parse = partial(pacsv.ParseOptions, delimiter=delimiter, newlines_in_values=True)
    table = pacsv.read_csv(
        pa.BufferReader(_front(path, most)) if most else path,
        read_options=pacsv.ReadOptions(use_threads=False),  # row numbers are only known to a single thread
        parse_options=parse(invalid_row_handler=note),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()),
            strings_can_be_null=True,
            null_values=[""],
        ),
    )
    return _with_ragged_rows(name, table, ragged)


def _header(path: Path, usual: str) -> tuple[str, list[str]]:
    """What separates the cells, and the columns."""
    names = _names(path, usual)
    if len(names) == 1:
        other = max(OTHER_DELIMITERS, key=names[0].count)
        if other in names[0]:
            return other, _names(path, other)
    return usual, names


def _names(path: Path, delimiter: str) -> list[str]:
    parse = pacsv.ParseOptions(
        delimiter=delimiter, newlines_in_values=True, invalid_row_handler=lambda row: "skip"
    )
    with pacsv.open_csv(path, parse_options=parse) as reader:
        return list(reader.schema.names)


def _front(path: Path, size: int) -> bytes:
    """The first whole rows of a text file, ``size`` bytes at most where they are shorter than that."""
    with pa.input_stream(str(path)) as stream:
        text: bytes = stream.read(size)
        rest = stream.read(1)
    while rest and b"\n" in text:
        text = text[: text.rstrip(b"\n").rfind(b"\n") + 1]
        if text.count(b'"') % 2 == 0:  # not within a quoted cell
            break
    return text


def _with_ragged_rows(name: str, table: pa.Table, ragged: list[tuple[int, str, str]]) -> FileTable:
    total = table.num_rows + len(ragged)
    skipped = [number - 1 for number, _, _ in ragged]  # the header is physical row 1
    rows: NDArray[np.int64] = np.setdiff1d(np.arange(1, total + 1), skipped)
    bad = []
    if ragged:
        shown = tuple(f"row {number - 1}: {text.strip()}" for number, _, text in ragged[:3])
        bad.append(BadRows(name, "", ragged[0][1], len(ragged), total, shown))
    return FileTable(name, table, rows, tuple(bad))
