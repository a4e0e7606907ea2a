"""A request's events, checked and turned into rows of the catalogue and of the signal table.

Knows nothing of HTTP or of models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.data.signals import Signals
from engine.data.tables.columns import MAX_TIMESTAMP
from engine.errors import RequestError

FIELDS = frozenset({"item_id", "value", "event", "timestamp"})
_NUMBERS = frozenset({float, int})
_UNDATED = np.array([np.nan])


@dataclass(frozen=True)
class Ignored:
    """Something in a request that could not be used, and why."""

    item_id: str
    reason: str


class Support(NamedTuple):
    """The usable events of one user, oldest first; S of them."""

    item_row: NDArray[np.int64]  # (S,)
    signal: NDArray[np.int64]  # (S,)
    timestamp: NDArray[np.float64]  # (S,) Unix seconds, NaN where not given
    ignored: tuple[Ignored, ...]

    def without(self, position: int) -> Support:
        """The same events but one."""
        return Support(
            np.delete(self.item_row, position),
            np.delete(self.signal, position),
            np.delete(self.timestamp, position),
            self.ignored,
        )


def read_events(
    events: Sequence[Mapping[str, object]],
    item_rows: Mapping[str, int],
    signals: Signals,
    default_signal: int,
) -> Support:
    """Turn ``[{"item_id", "value" or "event", "timestamp"?}, ...]`` into a support.

    Events are put in time order where each has a timestamp; otherwise they are taken as given, oldest
    first. An event with neither value nor name is of the default signal: what people most often want.
    Items that are not in the catalogue are ignored and reported.

    Raises:
        RequestError: an event is not an object, lacks item_id, or a value, event or timestamp cannot
            be understood; names the event's position.
    """
    if isinstance(events, (str, bytes, Mapping)) or not isinstance(events, Sequence):
        raise RequestError("events is not a list", fix='Send [{"item_id": ..., "value": ...}, ...].')
    plain = _plain(events, item_rows, signals.row_by_level)
    if plain is not None:
        return plain
    known: list[tuple[float | None, int, int]] = []
    ignored = []
    for position, event in enumerate(events):
        item_id, signal, timestamp = _read_event(event, signals, default_signal, f"events[{position}]")
        row = item_rows.get(item_id)
        if row is None:
            ignored.append(Ignored(item_id, "not in the catalogue"))
        else:
            known.append((timestamp, row, signal))
    if known and all(timestamp is not None for timestamp, _, _ in known):
        known.sort(key=lambda event: event[0] or 0.0)
    return Support(
        np.array([row for _, row, _ in known], dtype=np.int64),
        np.array([signal for _, _, signal in known], dtype=np.int64),
        np.array([timestamp for timestamp, _, _ in known], dtype=np.float64),
        tuple(ignored),
    )


def _plain(
    events: Sequence[Any], item_rows: Mapping[str, int], levels: Mapping[float, int]
) -> Support | None:
    """Events that say a level of the scale of a known item, undated, as most do; None if one says otherwise.

    The same as one by one, in a third of the time.
    """
    try:
        rows = [item_rows[event["item_id"]] for event in events if len(event) == 2]
        values = [event["value"] for event in events]
        kinds = [levels[value] for value in values]
    except (KeyError, TypeError):
        return None
    if len(rows) < len(events) or not _NUMBERS.issuperset(map(type, values)):  # True is no 1
        return None
    row_and_kind = np.array((rows, kinds), dtype=np.int64)
    return Support(row_and_kind[0], row_and_kind[1], _UNDATED.repeat(len(rows)), ())


def _read_event(
    event: object, signals: Signals, default_signal: int, where: str
) -> tuple[str, int, float | None]:
    if type(event) is not dict and not isinstance(event, Mapping):
        raise RequestError(
            f"{event!r} is not an event", where=where, fix='Send {"item_id": ..., "value": ...}.'
        )
    if not FIELDS.issuperset(event):
        raise RequestError(
            f"unknown field {min(str(key) for key in event if key not in FIELDS)!r}",
            where=where,
            fix="An event has item_id, value or event, and timestamp.",
        )
    item_id = event.get("item_id")
    if isinstance(item_id, bool) or not isinstance(item_id, (str, Integral)):
        raise RequestError(f"item_id is {item_id!r}", where=where, fix="Give a string or an integer.")
    value, name = event.get("value"), event.get("event")
    if name is not None and not isinstance(name, str):
        raise RequestError(f"event is {name!r}", where=where, fix="Give the event's name.")
    number = _number(value, "value", where)
    try:
        signal = default_signal if number is None and name is None else signals.encode(number, name)
    except RequestError as error:
        raise RequestError(error.what, where=where, fix=error.fix) from None
    timestamp = _number(event.get("timestamp"), "timestamp", where)
    if timestamp is not None and abs(timestamp) > MAX_TIMESTAMP:
        raise RequestError(
            f"timestamp is {timestamp:.15g}", where=where, fix="Give Unix seconds, not milliseconds."
        )
    return str(item_id), signal, timestamp


def _number(value: object, field: str, where: str) -> float | None:
    if value is None:
        return None
    if type(value) is float and math.isfinite(value):
        return value
    if isinstance(value, bool) or not isinstance(value, Real) or not _finite(value):
        raise RequestError(f"{field} is {value!r}", where=where, fix="Give a finite number.")
    return float(value)


def _finite(value: Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
