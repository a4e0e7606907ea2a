"""Reads input tables from parquet and CSV files, piece by piece, with the row numbers of the file.

A source is a file, a folder, a glob, or a table in memory. CSV cells are read as text, so that a column
means the same in every file; what separates them is seen from the header. Knows nothing of what the
columns mean.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.data.tables.bad_rows import FileTable
from engine.data.tables.columns import require
from engine.data.tables.delimited import read_delimited
from engine.errors import DataError

if TYPE_CHECKING:  # who hands over a data frame has imported it
    import pandas as pd

Source: TypeAlias = "str | Path | pd.DataFrame | pa.Table"

DELIMITERS = {".csv": ",", ".tsv": "\t"}
PARQUET = (".parquet", ".pq")
IDS = ("user_id", "item_id")
PIECE_ROWS = 4_000_000  # row groups of a parquet file are read together up to this many rows


@dataclass(frozen=True)
class Piece:
    """What is read at once: a CSV file, some row groups of a parquet file, or a table in memory."""

    name: str
    path: Path | None = None
    row_groups: tuple[int, ...] = ()
    first_row: int = 0
    table: pa.Table | None = None
    most: int = 0  # rows of parquet, bytes of CSV that are read, from the front; 0: all


def find_files(source: str | Path) -> list[Path]:
    """The tables' files behind a path: itself, all tables in a folder (at any depth), or a glob's matches.

    Within a folder, data sets and artifacts are left out.

    Raises:
        DataError: nothing is there, or nothing of a known format.
    """
    path = Path(source)
    if path.is_dir():
        found = [p for p in sorted(path.rglob("*")) if p.is_file() and not _hidden(p.relative_to(path))]
        made = {p.parent for p in found if p.name == "manifest.json" and _is_ours(p)}
        found = [p for p in found if made.isdisjoint(p.parents)]
    elif path.exists():
        found = [path]
    else:
        found = sorted(Path(p) for p in glob.glob(str(source), recursive=True))
    files = [p for p in found if table_format(p)]
    if files:
        return files
    if found:
        raise DataError(
            "is no table" if found == [path] else f"holds no table, but {found[0].name} and the like",
            where=str(source),
            fix="Convert it to .parquet, .csv or .tsv.",
        )
    raise DataError("no such file", where=str(source), fix="Give a file, a folder or a quoted glob.")


def pieces_of(source: Source, role: str) -> list[Piece]:
    """What to read, in order; ``role`` names a table in memory, such as "interactions"."""
    if isinstance(source, (str, Path)):
        return [piece for path in find_files(source) for piece in pieces_of_file(path)]
    if not isinstance(source, pa.Table):
        source = pa.Table.from_pandas(source, preserve_index=False)
    return [Piece(f"the {role} table", table=source)]


def read_pieces(pieces: Sequence[Piece], columns: Mapping[str, str]) -> Iterator[FileTable]:
    """Read the pieces one after the other, with the contract's column names (see ``rename``)."""
    for piece in pieces:
        yield read_piece(piece, columns)


def read_piece(piece: Piece, columns: Mapping[str, str]) -> FileTable:
    """Read one piece.

    Raises:
        DataError: the file cannot be read as what its name says.
    """
    if piece.table is not None:
        read = FileTable(piece.name, piece.table, np.arange(1, piece.table.num_rows + 1))
    else:
        assert piece.path is not None
        try:
            read = _read_parquet(piece) if piece.row_groups else _read_text(piece, piece.path)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"cannot be read: {_first_line(error)}",
                where=piece.name,
                fix="Is it whole, of the format its name says, and UTF-8 where it is text?",
            ) from None
    return read.with_table(rename(read.table, columns, piece.name))


def rename(table: pa.Table, columns: Mapping[str, str], name: str) -> pa.Table:
    """Give columns the contract's names: ``columns`` maps contract name -> the table's own name.

    A column that holds the contract's name but is not the one meant is left out. An id may keep the
    contract's name, since one mapping serves several tables.

    Raises:
        DataError: the table has no such column, or one of two with the same name.
    """
    names = table.column_names
    if len(set(names)) < len(names):
        twice = sorted({n for n in names if names.count(n) > 1})
        raise DataError(f"column {twice[0]!r} occurs twice", where=name, fix="Rename one of them.")
    new_names = {}
    for contract, own in columns.items():
        if own in names:
            new_names[own] = contract
        elif not (contract in IDS and contract in names):
            require(names, (own,), name, f"--column {contract}=")
    replaced = [c for c in names if c in new_names.values() and c not in new_names]
    table = table.drop_columns(replaced) if replaced else table
    return table.rename_columns([new_names.get(c, c) for c in table.column_names])


def pieces_of_file(path: Path) -> list[Piece]:
    """What to read of one file, in order. Raises DataError on one that is not what its name says."""
    if table_format(path) != "parquet":
        return [Piece(str(path), path)]
    try:
        metadata = pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"is not a parquet file: {_first_line(error)}", where=str(path), fix="Is it whole?"
        ) from None
    pieces, groups, first, rows = [], [], 0, 0
    for group in range(metadata.num_row_groups):
        groups.append(group)
        rows += metadata.row_group(group).num_rows
        if rows - first >= PIECE_ROWS or group == metadata.num_row_groups - 1:
            pieces.append(Piece(str(path), path, tuple(groups), first))
            groups, first = [], rows
    return pieces or [Piece(str(path), table=pq.read_table(path))]


def _read_parquet(piece: Piece) -> FileTable:
    file, groups = pq.ParquetFile(piece.path), list(piece.row_groups)
    if piece.most:
        first = next(file.iter_batches(piece.most, row_groups=groups))
        table = pa.Table.from_batches([first])
    else:
        table = file.read_row_groups(groups)
    return FileTable(piece.name, table, piece.first_row + np.arange(1, table.num_rows + 1))


def _read_text(piece: Piece, path: Path) -> FileTable:
    return read_delimited(piece.name, path, DELIMITERS[table_format(path)], piece.most)


def table_format(path: Path) -> str:
    """ "parquet", ".csv", ".tsv", or "" for anything else."""
    suffixes = [s.lower() for s in path.suffixes]
    last = suffixes[-2] if len(suffixes) > 1 and suffixes[-1] == ".gz" else (suffixes or [""])[-1]
    return "parquet" if last in PARQUET and suffixes[-1] != ".gz" else last if last in DELIMITERS else ""


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _is_ours(manifest: Path) -> bool:
    """Does the file stand in a data set or an artifact?"""
    try:
        form = json.loads(manifest.read_text(encoding="utf-8"))["format"]
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return str(form).startswith("firstclick")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
