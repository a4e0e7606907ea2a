"""Guesses what kind of feature a raw column is, where the user has not said so.

The rules look at the column's name, type and a sample of its values; a schema file overrides them.
Knows nothing of encoders or files.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

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
_LINK = re.compile(r"^(https?://|www\.)|\.(jpe?g|png|gif|webp|svg|mp[34])$", re.IGNORECASE)


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
    column = column.slice(0, SAMPLE)
    values = [v for v in column.to_pylist() if v is not None and v != ""]
    if not values:
        return IGNORE
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if _is_list(kind):
        return _list_kind(kind.value_type, values)
    if pa.types.is_boolean(kind):
        return "category"
    if pa.types.is_temporal(kind):
        return "number" if not (pa.types.is_time(kind) or pa.types.is_duration(kind)) else IGNORE
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _number_kind(name, np.array(values, dtype=np.float64))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _string_kind(name, values)
    return IGNORE


def separator_of(column: pa.ChunkedArray) -> str:
    """What cuts the texts of a tags column: the separator most rows have, "|" on a tie; "" for lists."""
    sample = [v for v in column.slice(0, SAMPLE).to_pylist() if v is not None]
    texts = [v for v in sample if isinstance(v, str)]
    if not texts:
        return ""
    return max(SEPARATORS, key=lambda s: (sum(s in t for t in texts), -SEPARATORS.index(s)))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _list_kind(member: pa.DataType, values: Sequence[Sequence[object]]) -> str:
    if pa.types.is_floating(member):
        return "vector" if len({len(v) for v in values}) == 1 else IGNORE
    plain = pa.types.is_integer(member) or pa.types.is_string(member) or pa.types.is_large_string(member)
    return "tags" if plain else IGNORE


def _number_kind(name: str, values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    if np.isinf(values).any():
        return "number"  # so that the infinite ones are found
    values = values[np.isfinite(values)]
    distinct = len(np.unique(values))
    whole = bool((values == np.round(values)).all())
    if whole and _CODE_NAME.search(name):
        return "category" if distinct < len(values) else IGNORE
    return "category" if whole and distinct <= min(FEW_LEVELS, len(values) / 10) else "number"


def _string_kind(name: str, values: Sequence[str]) -> str:
    if np.mean([bool(_LINK.search(v)) for v in values]) > 0.5:
        return IGNORE
    numbers = _as_numbers(values)
    if numbers is not None:
        return _number_kind(name, numbers)
    if any(_are_tags(values, separator) for separator in SEPARATORS):
        return "tags"
    distinct = len(set(values)) / len(values)
    words = float(np.mean([len(v.split()) for v in values]))
    if words < 1.5:  # single words: a name for each row says nothing, anything repeated is a level
        return IGNORE if distinct == 1 and len(values) > 1 else "category"
    return "category" if distinct <= 0.3 and words <= 6 else "text"


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
