"""What the items table says of an item, as it may be shown beside its title.

Knows nothing of encoders or models: raw values, as they were given.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pyarrow as pa

TEXT_MAX = 200  # characters
LIST_MAX = 16  # entries; numbers in a list are a vector, which nobody reads


class ItemFeatures:
    """Features by row of ``catalogue``, without ids and the columns in ``shown_beside``."""

    def __init__(self, catalogue: pa.Table, shown_beside: Collection[str]) -> None:
        names = [n for n in catalogue.column_names if n != "item_id" and n not in shown_beside]
        self._columns = catalogue.select(names)

    def of(self, row: int) -> dict[str, Any]:
        """Column -> value, of those that have one and can be read by people."""
        (values,) = self._columns.slice(row, 1).to_pylist() or [{}]
        shown = {name: _readable(value) for name, value in values.items()}
        return {name: value for name, value in shown.items() if value is not None}


def _readable(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= TEXT_MAX else f"{value[: TEXT_MAX - 1]}…"
    if isinstance(value, list):
        words = [text for text in value[:LIST_MAX] if isinstance(text, str) and len(text) <= TEXT_MAX]
        return words or None
    if isinstance(value, float) and value != value:
        return None
    return value if isinstance(value, (int, float)) else (None if value is None else str(value))
