"""Checks tables of items and users, one row an id with its feature columns, and puts them in data-set order.

Knows nothing of events, and of encoding features only which kinds there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.data.features.kinds import IGNORE, guess_kind, infer_kinds
from engine.data.tables.bad_rows import BadRows, FileTable, Mark
from engine.data.tables.cells import as_vector
from engine.data.tables.columns import mask_of, require, to_ids, to_names, to_numbers, whole_array
from engine.data.tables.doubts import nearly_numbers
from engine.errors import DataError


@dataclass(frozen=True)
class Entities:
    """Items or users: the id column (text, distinct) and the raw features, "ignore" included in the kinds."""

    table: pa.Table
    id_column: str
    kinds: dict[str, str]
    bad: tuple[BadRows, ...] = ()

    @property
    def ids(self) -> pa.Array:
        return whole_array(self.table[self.id_column])

    @property
    def ignored(self) -> dict[str, str]:
        """Columns that are no features, and why."""
        guesses = {c: guess_kind(c, self.table[c]) for c, kind in self.kinds.items() if kind == IGNORE}
        return {c: guess.why if guess.kind == IGNORE else "as you say" for c, guess in guesses.items()}

    @property
    def doubts(self) -> list[str]:
        """Columns that are probably not what their cells say."""
        found = {c: nearly_numbers(c, self.table[c]) for c in self.kinds}
        return [f"{c}: {doubt.what}. {doubt.fix}" for c, doubt in found.items() if doubt]

    def aligned(self, ids: pa.Array) -> pa.Table:
        """One row for each of ``ids``, in that order; ids without features have nulls."""
        rows = pc.index_in(ids, value_set=self.ids)
        features = {c: self.table[c].take(rows) for c in self.table.column_names if c != self.id_column}
        return pa.table({self.id_column: ids, **features})


def no_entities(id_column: str) -> Entities:
    return Entities(pa.table({id_column: pa.array([], pa.string())}), id_column, {})


def check_entities(
    reads: Sequence[FileTable], id_column: str, given: Mapping[str, str] | None = None
) -> Entities:
    """Join the files of one table, infer the kinds of its columns and set bad rows apart.

    Bad are: an id that is missing, of a wrong type or there before; a number that is none or infinite;
    a vector that is none.

    Args:
        reads: the files of the table, in order.
        id_column: "item_id" or "user_id".
        given: kinds that the user has named.

    Raises:
        DataError: no id column, files that do not fit together, an unknown kind or column.
    """
    for read in reads:
        role = "items" if id_column == "item_id" else "users"
        require(read.table.column_names, (id_column,), read.name, f"--column {role}.{id_column}=")
    kinds = infer_kinds(_join(reads), id_column, given)
    seen, lengths = set[str](), dict[str, int]()
    checked = [_check_file(read, id_column, kinds, seen, lengths) for read in reads]
    bad = tuple(b for read in checked for b in read.bad)
    return Entities(_join(checked), id_column, kinds, bad)


def check_edges(reads: Sequence[FileTable]) -> tuple[pa.Table, tuple[BadRows, ...]]:
    """Edges as text columns src, relation, dst; rows without an end are bad."""
    checked = []
    for read in reads:
        require(read.table.column_names, ("src", "relation", "dst"), read.name)
        marks: list[Mark] = []
        columns = {}
        for column in ("src", "dst"):
            columns[column], missing, wrong = to_ids(read.table[column])
            marks += [(missing, column, f"{column} is missing")]
            marks += [(wrong, column, f"{column} is neither text nor a whole number")]
        relation = to_names(read.table["relation"])
        marks.append((_null(relation), "relation", "relation is missing"))
        texts = {c: a.dictionary_decode() for c, a in (("src", columns["src"]), ("relation", relation))}
        table = pa.table({**texts, "dst": columns["dst"].dictionary_decode()})
        checked.append(read.sort_out(marks, table))
    return _join(checked), tuple(b for read in checked for b in read.bad)


def _check_file(
    read: FileTable, id_column: str, kinds: Mapping[str, str], seen: set[str], lengths: dict[str, int]
) -> FileTable:
    """Bad rows of one file; ``seen`` ids and ``lengths`` of vectors are carried from file to file."""
    encoded, missing, wrong = to_ids(read.table[id_column])
    ids = encoded.dictionary_decode()
    marks: list[Mark] = [
        (missing, id_column, f"{id_column} is missing"),
        (wrong, id_column, f"{id_column} is neither text nor a whole number"),
        (_repeated(ids, seen) & ~missing & ~wrong, id_column, f"{id_column} has occurred before"),
    ]
    for column in (c for c in read.table.column_names if kinds.get(c) == "number"):
        if not pa.types.is_temporal(read.table[column].type):
            _, _, no_number, not_finite = to_numbers(read.table[column])
            marks.append((no_number, column, f"{column} is not a number"))
            marks.append((not_finite & ~_nan(read.table[column]), column, f"{column} is not finite"))
    for column in (c for c in read.table.column_names if kinds.get(c) == "vector"):
        wrong = _no_vector(read.table[column], column, lengths)
        marks.append((wrong, column, f"{column} is not a vector of numbers of the first one's length"))
    at = read.table.column_names.index(id_column)
    return read.sort_out(marks, read.table.set_column(at, id_column, ids))


def _join(reads: Sequence[FileTable]) -> pa.Table:
    try:
        joined = pa.concat_tables([_plain(r.table) for r in reads], promote_options="permissive")
    except (pa.ArrowException, TypeError) as error:
        raise DataError(
            f"the files' columns do not fit together: {str(error).splitlines()[0]}",
            where=", ".join(r.name for r in reads[:3]),
            fix="Give each column one type in all files.",
        ) from None
    return joined.combine_chunks()


def _plain(table: pa.Table) -> pa.Table:
    """Dictionaries decoded."""
    for at, entry in enumerate(table.schema):
        if pa.types.is_dictionary(entry.type):
            table = table.set_column(at, entry.name, table[at].cast(entry.type.value_type))
    return table


def _repeated(ids: pa.Array, seen: set[str]) -> NDArray[np.bool_]:
    repeated = np.zeros(len(ids), dtype=np.bool_)
    for row, text in enumerate(ids.to_pylist()):
        repeated[row] = text in seen
        seen.add(text)
    return repeated


def _no_vector(column: pa.ChunkedArray, name: str, lengths: dict[str, int]) -> NDArray[np.bool_]:
    wrong = np.zeros(len(column), dtype=np.bool_)
    for row, cell in enumerate(column.to_pylist()):
        try:
            vector = as_vector(cell)
        except ValueError:
            wrong[row] = True
            continue
        if vector is not None:
            wrong[row] = len(vector) != lengths.setdefault(name, len(vector))
    return wrong


def _nan(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    if not pa.types.is_floating(column.type):
        return np.zeros(len(column), dtype=np.bool_)
    return mask_of(pc.is_nan(whole_array(column)).fill_null(False))


def _null(array: pa.DictionaryArray) -> NDArray[np.bool_]:
    return mask_of(array.indices.is_null())
