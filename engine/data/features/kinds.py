"""Guesses what kind of feature a raw column is, where the user has not said so.

The rules look at the column's name, type and a sample of its values, and say why they decide as they do; a
schema file overrides them. Knows nothing of encoders or files.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from engine.data.tables.cells import as_number
from engine.errors import DataError

KINDS = ("category", "tags", "number", "text", "vector")
IGNORE = "ignore"
SAMPLE = 20_000  # rows looked at
FEW_LEVELS = 32  # whole numbers with this many levels at most are codes rather than amounts
SEPARATORS = ("|", ";", ",")

_CODE_NAME = re.compile(r"(^|_)(id|code|zip|postcode|postal)(_|$)", re.IGNORECASE)
_PANDAS_INDEX = re.compile(r"__index_level_\d+__$|Unnamed: 0$")
_LINK = re.compile(r"^(https?://|www\.)|\.(jpe?g|png|gif|webp|svg|mp[34])$", re.IGNORECASE)


class Guess(NamedTuple):
    """A kind, "ignore" included, and what speaks for it."""

    kind: str
    why: str


def infer_kinds(table: pa.Table, id_column: str, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """The kind of every feature column, "ignore" included, in the table's order.

    Raises:
        DataError: ``given`` names an unknown column or kind.
    """
    columns = [name for name in table.column_names if name != id_column]
    for name, kind in (given or {}).items():
        if name not in columns:
            close = difflib.get_close_matches(name, columns, n=1)
            raise DataError(
                f"the schema names column {name!r}, which is not there",
                fix=(f"Did you mean {close[0]!r}? " if close else "")
                + f"The columns are {', '.join(columns) or 'none'}.",
            )
        check_kind(name, kind)
    return {name: (given or {}).get(name) or infer_kind(name, table[name]) for name in columns}


def check_kind(column: str, kind: str) -> None:
    if kind not in (*KINDS, IGNORE):
        raise DataError(
            f"unknown feature kind {kind!r}",
            where=f"column {column!r}",
            fix=f"Use one of {', '.join((*KINDS, IGNORE))}.",
        )


def infer_kind(name: str, column: pa.ChunkedArray) -> str:
    """The kind of one column; "ignore" for what cannot help: empty, links, or a name for each row."""
    return guess_kind(name, column).kind


def guess_kind(name: str, column: pa.ChunkedArray) -> Guess:
    """The same with the reason."""
    column = column.slice(0, SAMPLE)
    values = [v for v in column.to_pylist() if v is not None and v != ""]
    if not values:
        return Guess(IGNORE, "empty")
    if _PANDAS_INDEX.match(name):
        return Guess(IGNORE, "row numbers that pandas wrote")
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if _is_list(kind):
        return _list_kind(kind.value_type, values)
    if pa.types.is_boolean(kind):
        return Guess("category", "true or false")
    if pa.types.is_temporal(kind):
        moment = not (pa.types.is_time(kind) or pa.types.is_duration(kind))
        return Guess("number", "moments, as seconds") if moment else Guess(IGNORE, f"{kind} is no moment")
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _number_kind(name, np.array(values, dtype=np.float64))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _string_kind(name, values)
    return Guess(IGNORE, f"cells of type {kind}")


def separator_of(column: pa.ChunkedArray) -> str:
    """What cuts the texts of a tags column: the separator most rows have, "|" on a tie; "" for lists."""
    sample = [v for v in column.slice(0, SAMPLE).to_pylist() if v is not None]
    texts = [v for v in sample if isinstance(v, str)]
    if not texts:
        return ""
    return max(SEPARATORS, key=lambda s: (sum(s in t for t in texts), -SEPARATORS.index(s)))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _list_kind(member: pa.DataType, values: Sequence[Sequence[object]]) -> Guess:
    if pa.types.is_floating(member):
        if len({len(v) for v in values}) == 1:
            return Guess("vector", f"lists of {len(values[0])} numbers")
        return Guess(IGNORE, "lists of numbers of different lengths")
    plain = pa.types.is_integer(member) or pa.types.is_string(member) or pa.types.is_large_string(member)
    return Guess("tags", "lists") if plain else Guess(IGNORE, f"lists of {member}")


def _number_kind(name: str, values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Guess:
    if np.isinf(values).any():
        return Guess("number", "numbers, some infinite")  # so that the infinite ones are found
    values = values[np.isfinite(values)]
    distinct = len(np.unique(values))
    whole = bool((values == np.round(values)).all())
    if whole and _CODE_NAME.search(name):
        if distinct < len(values):
            return Guess("category", f"whole numbers, called like a code; {distinct:,} levels")
        return Guess(IGNORE, "called like a code, and another in every row")
    if whole and distinct <= min(FEW_LEVELS, len(values) / 10):
        return Guess("category", f"whole numbers, only {distinct:,} levels")
    return Guess("number", f"numbers, {distinct:,} levels")


def _string_kind(name: str, values: Sequence[str]) -> Guess:
    if np.mean([bool(_LINK.search(v)) for v in values]) > 0.5:
        return Guess(IGNORE, "mostly links")
    numbers = _as_numbers(values)
    if numbers is not None:
        return _number_kind(name, numbers)
    for separator in SEPARATORS:
        if _are_tags(values, separator):
            return Guess("tags", f"short parts that recur, between {separator!r}")
    levels = len(set(values))
    distinct = levels / len(values)
    words = float(np.mean([len(v.split()) for v in values]))
    if words < 1.5:  # single words: a name for each row says nothing, anything repeated is a level
        if distinct == 1 and len(values) > 1:
            return Guess(IGNORE, "another word in every row")
        return Guess("category", f"words that recur, {levels:,} levels")
    if distinct <= 0.3 and words <= 6:
        return Guess("category", f"short texts that recur, {levels:,} levels")
    return Guess("text", f"texts of {words:.0f} words, mostly different")


def _as_numbers(values: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    """The numbers that the texts spell, or None. A leading zero is a code's, not a number's."""
    if any(len(v) > 1 and v[0] == "0" and v.isdigit() for v in values):
        return None
    try:
        return np.array([as_number(v) for v in values], dtype=np.float64)
    except ValueError:
        return None


def _are_tags(values: Sequence[str], separator: str) -> bool:
    """Are the texts short parts that recur, between separators? Sentences and titles are not."""
    cut = [v for v in values if separator in v]
    if len(cut) < 0.1 * len(values):
        return False
    parts = [part.strip() for v in values for part in v.split(separator)]
    short = np.mean([len(part.split()) for part in parts]) <= 3
    return bool(short and len(set(parts)) <= 0.5 * len(parts))
