"""Reads a published cold-start split: which users and which items of a data set are cold.

A table of user_id, item_id and, in its one other column, the scenario of each event. Knows nothing of how the
rest is trained or measured.

Shapes: U users, N catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from engine.errors import DataError

SCENARIOS = {  # name -> (is the user cold, is the item cold); the longer names are MetaHIN's
    "warm": (False, False),
    "user-cold": (True, False),
    "item-cold": (False, True),
    "both-cold": (True, True),
    "meta_training": (False, False),
    "warm_up": (False, False),
    "user_cold_testing": (True, False),
    "item_cold_testing": (False, True),
    "user_and_item_cold_testing": (True, True),
}


@dataclass(frozen=True)
class PublishedSplit:
    """Who and what is cold."""

    users_U: NDArray[np.bool_]
    items_N: NDArray[np.bool_]


def read_split(path: Path, user_ids: list[str], item_ids: list[str]) -> PublishedSplit:
    """The cold users and items of a data set with these ids; those the table does not name are warm.

    Raises:
        DataError: the file cannot be read, names a scenario or an id that is unknown, or calls one user or
            item both cold and warm.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"cannot read the split: {error}", where=str(path)) from None
    others = [name for name in table.column_names if name not in ("user_id", "item_id")]
    if len(others) != 1 or table.num_columns != 3:
        raise _wrong(
            path, f"columns {', '.join(table.column_names)}", "Give user_id, item_id and a scenario."
        )
    scenario = table[others[0]].cast(pa.string()).combine_chunks().dictionary_encode()
    names = scenario.dictionary.to_pylist()
    unknown = sorted(set(names) - set(SCENARIOS), key=str)
    if unknown:
        raise _wrong(path, f"unknown scenario {unknown[0]!r}", f"Known are {', '.join(SCENARIOS)}.")
    cold = np.array([SCENARIOS[name] for name in names], np.bool_)[scenario.indices.to_numpy()]
    return PublishedSplit(
        _cold(path, table["user_id"], cold[:, 0], user_ids, "user"),
        _cold(path, table["item_id"], cold[:, 1], item_ids, "item"),
    )


def _cold(
    path: Path, ids: pa.ChunkedArray, cold: NDArray[np.bool_], known: list[str], what: str
) -> NDArray[np.bool_]:
    rows = pc.index_in(ids.cast(pa.string()), value_set=pa.array(known, pa.string())).to_numpy()
    if np.isnan(rows).any():
        missing = ids[int(np.isnan(rows).argmax())]
        raise _wrong(
            path, f"{what} {str(missing)!r} is not in the data set", "Give the split of this data set."
        )
    sides = [np.bincount(rows[side].astype(np.int64), minlength=len(known)) > 0 for side in (cold, ~cold)]
    if (sides[0] & sides[1]).any():
        both = known[int((sides[0] & sides[1]).argmax())]
        raise _wrong(path, f"{what} {both!r} is called both cold and warm", "Give each one side.")
    return sides[0]


def _wrong(path: Path, what: str, fix: Any) -> DataError:
    return DataError(f"the split cannot be used: {what}", where=str(path), fix=fix)
