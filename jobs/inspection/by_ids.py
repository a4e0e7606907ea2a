"""Finds the column of a table that holds ids which the events hold, too, whatever it is called.

Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from engine.data.tables.columns import to_ids
from engine.errors import DataError

SHARE = 0.5  # of the cells that are known ids, or of the known ids that are cells
IDS = {"items": "item_id", "users": "user_id"}


def ids_in(table: pa.Table, column: str) -> set[str]:
    """The different ids of a column; none where it holds no ids."""
    try:
        return set(to_ids(table[column])[0].dictionary.to_pylist()) - {None}
    except (DataError, KeyError, pa.ArrowException):
        return set()


def id_column(table: pa.Table, known: set[str]) -> str | None:
    """The column whose cells are ids that are known, each once: the likeliest, or None.

    Args:
        table: one row an item, or a user.
        known: ids of the events.
    """
    likeness = {name: _likeness(ids_in(table, name), table.num_rows, known) for name in table.column_names}
    best = max(likeness, key=likeness.__getitem__, default=None)
    return best if best is not None and likeness[best] >= SHARE else None


def role_by_ids(table: pa.Table, known: Mapping[str, set[str]], hinted: str | None = None) -> str | None:
    """ "items" or "users": that of which ids are found, of both that at which the file's name hints."""
    fitting = [role for role, contract in IDS.items() if id_column(table, known.get(contract, set()))]
    if hinted in fitting:
        return hinted
    return fitting[0] if len(fitting) == 1 else None


def _likeness(ids: set[str], n_rows: int, known: set[str]) -> float:
    if not known or not ids or len(ids) < n_rows:
        return 0.0
    return max(len(ids & known) / len(ids), len(ids & known) / len(known))
