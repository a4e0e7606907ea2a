"""Checks tables of events, collects what occurs in them, and encodes events as rows and signals.

The steps for each piece of the input: ``clean``, then (once all pieces have been counted) ``encode``.
Knows nothing of how pieces are read or grouped.

Shapes: E events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.data.signals import PLAIN_EVENT, Signals, build_signals
from engine.data.tables.bad_rows import BadRows, FileTable, Mark
from engine.data.tables.columns import (
    MAX_TIMESTAMP,
    mask_of,
    require,
    to_ids,
    to_names,
    to_numbers,
    to_timestamps,
)

NUMBER_COLUMNS = ("rating", "value")  # the first that a table has is the number of its events
MEANT = ("user_id", "item_id", *NUMBER_COLUMNS, "event", "timestamp")


def clean(read: FileTable) -> FileTable:
    """Events in one form: user_id and item_id (dictionary of text), number, event, timestamp; bad rows apart.

    ``number`` and ``timestamp`` are float64 with NaN for none, ``event`` a dictionary with nulls.

    Raises:
        DataError: a column is missing, or a column's type can hold nothing of the kind.
    """
    table = read.table
    require(table.column_names, ("user_id", "item_id"), read.name)
    users, no_user, wrong_user = to_ids(table["user_id"])
    items, no_item, wrong_item = to_ids(table["item_id"])
    marks: list[Mark] = [
        (no_user, "user_id", "user_id is missing"),
        (no_item, "item_id", "item_id is missing"),
        (wrong_user, "user_id", "user_id is neither text nor a whole number"),
        (wrong_item, "item_id", "item_id is neither text nor a whole number"),
    ]
    number, event, more = _signal_columns(table)
    timestamp, when = _timestamps(table)
    columns = {"user_id": users, "item_id": items, "number": number, "event": event, "timestamp": timestamp}
    return read.sort_out([*marks, *more, *when], pa.table(columns))


def _signal_columns(table: pa.Table) -> tuple[NDArray[np.float64], pa.DictionaryArray, list[Mark]]:
    column = number_column(table.column_names)
    none = np.zeros(table.num_rows, dtype=np.bool_)
    number, marks = np.full(table.num_rows, np.nan), []
    given = none
    if column:
        number, given, wrong, not_finite = to_numbers(table[column])
        marks = [
            (wrong, column, f"{column} is not a number"),
            (not_finite, column, f"{column} is not finite"),
        ]
    if "event" in table.column_names:
        event = to_names(table["event"])
    elif column:
        event = pa.DictionaryArray.from_arrays(
            pa.nulls(table.num_rows, pa.int32()), pa.array([], pa.string())
        )
    else:
        event = pa.DictionaryArray.from_arrays(np.zeros(table.num_rows, dtype=np.int32), [PLAIN_EVENT])
    nothing = ~given & mask_of(event.indices.is_null())
    names = " nor ".join(n for n in (column, "event") if n and n in table.column_names)
    marks.append((nothing, column or "event", f"no {names} is given"))
    return number, event, marks


def _timestamps(table: pa.Table) -> tuple[NDArray[np.float64], list[Mark]]:
    if "timestamp" not in table.column_names:
        return np.full(table.num_rows, np.nan), []
    timestamp, wrong, beyond = to_timestamps(table["timestamp"])
    return timestamp, [
        (wrong, "timestamp", "timestamp is neither Unix seconds nor an ISO 8601 time"),
        (beyond, "timestamp", f"timestamp is beyond {MAX_TIMESTAMP:.0e} seconds: milliseconds? Give seconds"),
    ]


def number_column(names: Iterable[str]) -> str:
    """ "rating", "value" or, where a table has neither, ""."""
    return next((c for c in NUMBER_COLUMNS if c in set(names)), "")


def unused_columns(names: Sequence[str]) -> list[str]:
    """Columns of an interactions table that say nothing the contract knows of."""
    used = {c for c in MEANT if c not in NUMBER_COLUMNS} | {number_column(names)}
    return [name for name in names if name not in used]


@dataclass
class Tally:
    """What occurs in the events and how often; pieces may be added in any order."""

    users: Counter[str] = field(default_factory=Counter)
    items: Counter[str] = field(default_factory=Counter)
    numbers: Counter[float] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    number_columns: set[str] = field(default_factory=set)
    unused: dict[str, None] = field(default_factory=dict)  # a set that keeps its order
    n_dated: int = 0
    n_overruled: int = 0  # events whose name is not used, because they have a number, too
    bad: list[BadRows] = field(default_factory=list)

    @property
    def n_events(self) -> int:
        return self.users.total()

    @staticmethod
    def of(names: Sequence[str], cleaned: FileTable) -> Tally:
        """Count one piece; ``names`` are the columns of the table before it was cleaned."""
        table = cleaned.table
        number = table["number"].to_numpy()
        levels, counts = np.unique(number[~np.isnan(number)], return_counts=True)
        numbered = ~np.isnan(number)  # a number wins over a name
        named = table.filter(pa.array(~numbered))
        return Tally(
            users=_counts(table["user_id"]),
            items=_counts(table["item_id"]),
            numbers=Counter(dict(zip((levels + 0.0).tolist(), counts.tolist(), strict=True))),
            events=_counts(named["event"]),
            number_columns={number_column(names)} - {""},
            unused=dict.fromkeys(unused_columns(names)),
            n_overruled=int((numbered & mask_of(table["event"].is_valid())).sum()) if "event" in names else 0,
            n_dated=int((~np.isnan(table["timestamp"].to_numpy())).sum()),
            bad=list(cleaned.bad),
        )

    def add(self, other: Tally) -> None:
        self.users.update(other.users)
        self.items.update(other.items)
        self.numbers.update(other.numbers)
        self.events.update(other.events)
        self.number_columns |= other.number_columns
        self.unused |= other.unused
        self.n_dated += other.n_dated
        self.n_overruled += other.n_overruled
        self.bad += other.bad

    def signals(self) -> Signals:
        levels = sorted(self.numbers)
        counts = np.array([self.numbers[level] for level in levels], dtype=np.int64)
        column = number_column(self.number_columns) or NUMBER_COLUMNS[0]
        return build_signals(column, np.array(levels, dtype=np.float64), counts, sorted(self.events))


@dataclass(frozen=True)
class Lookup:
    """Where each id stands, and the signals: all that is needed to encode events."""

    user_ids: pa.Array  # users that have events
    item_ids: pa.Array
    signals: Signals

    def encode(self, cleaned: pa.Table) -> pa.Table:
        """Cleaned events as user_row, item_row, signal (integers) and timestamp, in the same order."""
        number = cleaned["number"].to_numpy()
        signal = np.zeros(len(number), dtype=np.int16)
        known = ~np.isnan(number)
        signal[known] = self.signals.encode_numbers(number[known])
        if not known.all():
            names = pa.array(self.signals.event_names, pa.string())
            rows = _rows(cleaned["event"].filter(pa.array(~known)), names)
            signal[~known] = self.signals.n_numbers + rows
        return pa.table(
            {
                "user_row": _rows(cleaned["user_id"], self.user_ids),
                "item_row": _rows(cleaned["item_id"], self.item_ids),
                "signal": signal,
                "timestamp": cleaned["timestamp"],
            }
        )


def ordered_ids(first: pa.Array | None, occurring: Iterable[str]) -> pa.Array:
    """``first`` as it stands, then the other ids in natural order.

    Natural order is by number where every id of both is a whole number, else that of the text.
    """
    listed = first.to_pylist() if first is not None else []
    rest = set(occurring) - set(listed)
    whole = all(_is_whole(i) for i in rest) and all(_is_whole(i) for i in listed)
    ordered = sorted(rest, key=lambda i: (int(i), i)) if whole else sorted(rest)
    return pa.array([*listed, *ordered], pa.string())


def _is_whole(text: str) -> bool:
    return (text[1:] if text.startswith("-") else text).isdecimal() and text.isascii()


def _counts(column: pa.ChunkedArray) -> Counter[str]:
    array = column.combine_chunks().drop_null()
    indices = array.indices.to_numpy(zero_copy_only=False)
    counts = np.bincount(indices, minlength=len(array.dictionary)).tolist()
    pairs = zip(array.dictionary.to_pylist(), counts, strict=True)
    return Counter({value: count for value, count in pairs if count})


def _rows(column: pa.ChunkedArray, ids: pa.Array) -> NDArray[np.int32]:
    array = column.combine_chunks()
    row_of = pc.index_in(array.dictionary, value_set=ids).fill_null(-1).to_numpy(zero_copy_only=False)
    return np.asarray(row_of[array.indices.to_numpy(zero_copy_only=False)], dtype=np.int32)
