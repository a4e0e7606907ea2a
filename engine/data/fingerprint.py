"""Hashes what a data set says rather than how its files are laid out.

Equal contents have equal fingerprints, however they were cut into files, compressed or computed.
Knows nothing of files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.data.histories import Histories


def fingerprint(parts: Iterable[str]) -> str:
    """One hash of many, in order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def hash_json(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def hash_histories(histories: Histories) -> str:
    hasher = hashlib.sha256()
    for rows in (histories.start, histories.item_row, histories.signal):
        hasher.update(rows.tobytes())
    hasher.update(histories.timestamp.tobytes())
    return hasher.hexdigest()


def hash_table(table: pa.Table) -> str:
    """Names, values and missing values of all columns; the widths of number types do not count."""
    hasher = hashlib.sha256()
    for name in table.column_names:
        hasher.update(f"{name}\n".encode())
        column = table[name]
        _update(hasher, pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type))
    return hasher.hexdigest()


def _update(hasher: hashlib._Hash, array: pa.Array) -> None:
    kind = array.type
    hasher.update(array.is_valid().to_numpy(zero_copy_only=False))
    if pa.types.is_dictionary(kind):
        _update(hasher, array.dictionary_decode())
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        hasher.update(
            pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        )
        _update(hasher, array.flatten())
    elif pa.types.is_floating(kind) or pa.types.is_integer(kind):
        wide = np.float64 if pa.types.is_floating(kind) else np.int64
        hasher.update(array.fill_null(0).to_numpy(zero_copy_only=False).astype(wide))
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        hasher.update(pc.binary_length(array).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64))
        hasher.update("".join(array.drop_null().to_pylist()).encode())
    else:  # dates, decimals, structs: rare, so by their text
        hasher.update(json.dumps(array.to_pylist(), default=str).encode())
