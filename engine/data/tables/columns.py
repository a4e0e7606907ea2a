"""Brings the columns that the contract names into one form: ids as text, numbers and times as float64.

Each function takes a column and gives the converted one and a mask of the cells it cannot take.
Knows nothing of files or of other columns.

Shapes: E rows.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.data.tables.cells import as_number
from engine.errors import DataError

Mask = NDArray[np.bool_]
MAX_TIMESTAMP = 1e11  # seconds: the year 5138. Milliseconds of our days are beyond it
EXACT = 2.0**53  # beyond, floats skip whole numbers: such an id may stand for another


def require(names: Sequence[str], wanted: Sequence[str], file: str, option: str = "") -> None:
    """Raise DataError on the first missing column, with the closest there is.

    Args:
        names: the columns of the file.
        wanted: those it must have.
        option: what of the command line named the column; default: what would name it.
    """
    for column in wanted:
        if column in names:
            continue
        if not names:
            raise DataError("the file is empty", where=file, fix="It needs at least a header.")
        say = f"{option or f'--column {column}='}{_closest(column, names) or 'YOUR_COLUMN'}"
        raise DataError(
            f"no column {column!r}",
            where=file,
            fix=f"The columns are {', '.join(map(repr, names))}. Name yours with {say}.",
        )


def _closest(column: str, names: Sequence[str]) -> str:
    """The own name that is spelt most like ``user_id`` or, for ids, ``user``; "" where none is like it."""
    others = [name for name in names if not name.endswith("_id")]  # of the contract, or another table's
    for word in (column, column.removesuffix("_id")):
        close = difflib.get_close_matches(word, others, n=1, cutoff=0.7)
        if close:
            return close[0]
    return ""


def whole_array(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece, dictionaries decoded."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    array = column.combine_chunks()
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array


def mask_of(array: pa.Array) -> Mask:
    """A boolean column without nulls as a numpy mask."""
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.bool_)


def to_ids(column: pa.ChunkedArray) -> tuple[pa.DictionaryArray, Mask, Mask]:
    """Ids as dictionary-encoded text; masks of missing ids and of those that are neither text nor whole.

    A float column holds whole numbers where a tool had to mark gaps in integers: 3.0 reads "3".
    """
    if pa.types.is_nested(column.type):
        nothing = pa.nulls(len(column), pa.string()).dictionary_encode()
        return nothing, np.zeros(len(column), dtype=np.bool_), np.ones(len(column), dtype=np.bool_)
    encoded = whole_array(column).dictionary_encode()
    texts, wrong = _id_texts(encoded.dictionary)
    indices = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    missing_text = np.append(_is_missing_text(texts), True)  # the last serves index -1
    missing = missing_text[indices] & ~np.append(wrong, False)[indices]
    return pa.DictionaryArray.from_arrays(encoded.indices, texts), missing, np.append(wrong, False)[indices]


def to_numbers(column: pa.ChunkedArray) -> tuple[NDArray[np.float64], Mask, Mask, Mask]:
    """Numbers (E,) with NaN where missing; masks of given, not a number, not finite."""
    array = whole_array(column)
    numbers, wrong = _parse(array, float)
    given = mask_of(array.is_valid()) & ~_empty_text(array)
    not_finite = given & ~wrong & ~np.isfinite(numbers)
    return numbers, given, given & wrong, not_finite


def to_names(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Event names as dictionary-encoded text, null where missing. Numbers read as their text.

    Raises:
        DataError: the column holds lists.
    """
    if pa.types.is_nested(column.type):
        raise DataError(f"{column.type} is not a name", fix="Give one text a row.")
    encoded = whole_array(column).dictionary_encode()
    texts, wrong = _id_texts(encoded.dictionary)
    if wrong.any():
        texts = encoded.dictionary.cast(pa.string())
    null = _is_missing_text(texts)
    indices = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    gone = mask_of(encoded.indices.is_null())
    if len(texts):
        gone = gone | null[indices]
    return pa.DictionaryArray.from_arrays(pa.array(indices, mask=gone), texts)


def to_timestamps(column: pa.ChunkedArray) -> tuple[NDArray[np.float64], Mask, Mask]:
    """Unix seconds (E,) with NaN where missing; masks of unreadable times and of those out of range.

    Takes seconds, timestamps and dates (without a zone: UTC), and their text forms (ISO 8601).
    """
    array = whole_array(column)
    if pa.types.is_temporal(array.type):
        if not (pa.types.is_timestamp(array.type) or pa.types.is_date(array.type)):
            raise DataError(f"{array.type} is not a moment", fix="Give Unix seconds or a timestamp.")
        array = array.cast(pa.timestamp("us", getattr(array.type, "tz", None)), safe=False)
        micros = array.cast(pa.int64()).to_numpy(zero_copy_only=False).astype(np.float64)
        return np.where(mask_of(array.is_null()), np.nan, micros / 1e6), _none(array), _none(array)
    seconds, wrong = _parse(array, _moment)
    return seconds, wrong, np.abs(np.nan_to_num(seconds, nan=0.0)) > MAX_TIMESTAMP


def _moment(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return as_number(datetime.fromisoformat(text))


def _id_texts(values: pa.Array) -> tuple[pa.Array, Mask]:
    """Distinct ids as text; a mask of those that cannot be ids."""
    kind = values.type
    if pa.types.is_floating(kind):
        numbers = values.to_numpy(zero_copy_only=False)
        whole = (np.abs(numbers) <= EXACT) & (numbers == np.floor(numbers))
        texts = pa.array(np.where(whole, numbers, 0).astype(np.int64)).cast(pa.string())
        return pc.if_else(pa.array(whole), texts, None), ~whole & ~np.isnan(numbers)
    if pa.types.is_integer(kind) or pa.types.is_null(kind) or _is_text(kind):
        return values.cast(pa.string()), np.zeros(len(values), dtype=np.bool_)
    return pa.nulls(len(values), pa.string()), np.ones(len(values), dtype=np.bool_)


def _parse(array: pa.Array, read: Callable[[str], float]) -> tuple[NDArray[np.float64], Mask]:
    """float64 with NaN for nulls, and a mask of the cells that are no numbers."""
    kind = array.type
    try:
        if _is_text(kind):
            array = pc.if_else(pc.equal(array, ""), None, array)
        elif pa.types.is_boolean(kind):
            array = array.cast(pa.int8())
        if not _is_list_like(kind):
            numbers = array.cast(pa.float64(), safe=False)
            return numbers.to_numpy(zero_copy_only=False).astype(np.float64), _none(array)
    except pa.ArrowException:
        pass
    return _parse_each(array, read)


def _parse_each(array: pa.Array, read: Callable[[str], float]) -> tuple[NDArray[np.float64], Mask]:
    numbers = np.full(len(array), np.nan)
    wrong = np.zeros(len(array), dtype=np.bool_)
    for row, cell in enumerate(array.to_pylist()):
        if cell is None:
            continue
        try:
            numbers[row] = read(cell)
        except (TypeError, ValueError, OverflowError):
            wrong[row] = True
    return numbers, wrong


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_list_like(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(kind))


def _empty_text(array: pa.Array) -> Mask:
    if not _is_text(array.type):
        return _none(array)
    return mask_of(pc.equal(array, "").fill_null(True))


def _is_missing_text(texts: pa.Array) -> Mask:
    return mask_of(pc.equal(texts, "").fill_null(True))


def _none(array: pa.Array) -> Mask:
    return np.zeros(len(array), dtype=np.bool_)
