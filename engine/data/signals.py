"""Names the kinds of events of a data set and tells which kind one event is.

A signal is what an event says: a rating value, a bin of a number, or a named event such as VIEW.
Knows nothing of files, of users or of what a signal is worth (that is learned).

Shapes: R signals, E events.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, DataError, RequestError

MAX_LEVELS = 20  # more distinct numbers than this are binned
MAX_BINS = 8
MAX_EVENT_NAMES = 256
PLAIN_EVENT = "event"  # the signal of data that says only "it happened"


@dataclass(frozen=True)
class Signals:
    """The kinds of events of a data set: numbers in ascending order, then named events by name."""

    names: tuple[str, ...]
    value: NDArray[np.float64]  # (R,) the number a signal stands for, NaN for named events
    edges: NDArray[np.float64]  # inner bin edges where numbers were binned, else empty

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Signals) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.names)

    @cached_property
    def n_numbers(self) -> int:
        """How many of the signals stand for numbers; they come first."""
        return int(np.isfinite(self.value).sum())

    @cached_property
    def binned(self) -> bool:
        return len(self.edges) > 0

    @cached_property
    def row_by_level(self) -> dict[float, int]:
        """The signals of numbers that are not binned, by number."""
        levels = [] if self.binned else self.value[: self.n_numbers].tolist()
        return {level: row for row, level in enumerate(levels)}

    @property
    def event_names(self) -> tuple[str, ...]:
        return self.names[self.n_numbers :]

    def relevant(
        self, relevant_min: float | None = None, relevant: Sequence[str] | None = None
    ) -> NDArray[np.bool_]:
        """Which signals count as wanted, (R,).

        Args:
            relevant_min: numbers from here on are relevant. Without it: ratings and levels from 4/5 of the
                largest on; all bins of other numbers. A bin counts by its mean.
            relevant: names of relevant signals. With it, only these and, where ``relevant_min`` is
                given, the numbers from there on; without it, all named events.

        Raises:
            ConfigError: an unknown name, or nothing is left that is relevant.
        """
        number = np.isfinite(self.value)
        chosen = np.zeros(len(self), dtype=np.bool_)
        if relevant_min is not None:
            chosen |= number & (np.nan_to_num(self.value, nan=-np.inf) >= relevant_min)
        elif relevant is None:
            chosen |= number & (self.value >= self._default_minimum())
        if relevant is None:
            chosen |= ~number
        else:
            chosen[[self._row_of(name) for name in relevant]] = True
        if not chosen.any():
            raise ConfigError(
                "no signal counts as relevant",
                where=f"relevant_min = {relevant_min}, relevant = {relevant}",
                fix=f"The signals are {_listed(self.names)}.",
            )
        return chosen

    def encode(self, value: float | None = None, event: str | None = None) -> int:
        """The signal row of one event of a request; the number wins where both are given.

        A number between two levels is taken as the nearer one.

        Raises:
            RequestError: the data has no such number or event, or neither is given and the data has
                several signals; the known ones are named.
        """
        if value is not None and self.n_numbers:
            return self._row_of_number(value)
        if event is not None:
            if event in self.event_names:
                return self.n_numbers + self.event_names.index(event)
            raise self._unknown(f"unknown event {event!r}")
        if value is not None and PLAIN_EVENT not in self.names:
            raise self._unknown(f"value {value!r}, but the data has named events")
        if len(self) == 1:
            return 0
        if PLAIN_EVENT in self.event_names:
            return self.names.index(PLAIN_EVENT)
        raise self._unknown("the event has neither a value nor an event name")

    def encode_numbers(self, numbers: NDArray[np.float64]) -> NDArray[np.int64]:
        """Rows of many numbers that are known to occur in the data, (E,) -> (E,)."""
        return np.searchsorted(self.edges if self.binned else self.value[: self.n_numbers], numbers)

    def to_json(self) -> dict[str, Any]:
        value = [None if math.isnan(v) else v for v in self.value.tolist()]
        return {"names": list(self.names), "value": value, "edges": self.edges.tolist()}

    @staticmethod
    def from_json(d: dict[str, Any]) -> Signals:
        value = np.array([math.nan if v is None else v for v in d["value"]], dtype=np.float64)
        return Signals(tuple(d["names"]), value, np.array(d["edges"], dtype=np.float64))

    def _default_minimum(self) -> float:
        top = float(self.value[self.n_numbers - 1]) if self.n_numbers else 0.0
        any_number = self.binned and not self.names[0].startswith("rating=")
        return -math.inf if any_number else min(0.8 * top, top)

    def _row_of(self, name: str) -> int:
        if name in self.names:
            return self.names.index(name)
        close = difflib.get_close_matches(name, self.names, n=1)
        raise ConfigError(
            f"unknown signal {name!r}",
            where="relevant",
            fix=(f"Did you mean {close[0]!r}? " if close else "") + f"Known are {_listed(self.names)}.",
        )

    def _row_of_number(self, value: float) -> int:
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise self._unknown(f"value {value!r} is not a number") from error
        if not math.isfinite(number):
            raise self._unknown(f"value {value!r} is not finite")
        if self.binned:
            return int(self.encode_numbers(np.array([number]))[0])
        if number in self.row_by_level:
            return self.row_by_level[number]
        levels = self.value[: self.n_numbers]
        if not levels[0] <= number <= levels[-1]:
            raise self._unknown(f"value {value!r} is outside the scale, {levels[0]:g} to {levels[-1]:g}")
        return int(np.abs(levels - number).argmin())

    def _unknown(self, what: str) -> RequestError:
        return RequestError(what, fix=f"Known signals are {_listed(self.names)}.")


def build_signals(
    column: str, numbers: NDArray[np.float64], counts: NDArray[np.int64], events: Sequence[str]
) -> Signals:
    """The signals of a data set from what occurs in it.

    Up to ``MAX_LEVELS`` distinct numbers are signals of their own (``rating=4``); more are cut at
    ``MAX_BINS`` quantiles, ties kept together (``value=bin0`` holds the smallest).

    Args:
        column: the name of the number, "rating" or "value".
        numbers: the distinct finite numbers, ascending.
        counts: how often each occurs.
        events: the distinct event names.

    Raises:
        DataError: so many event names that the column cannot be the kind of event, or one that is
            called like a number's signal.
    """
    if len(events) > MAX_EVENT_NAMES:
        raise DataError(
            f"{len(events):,} different events, at most {MAX_EVENT_NAMES} are allowed",
            where="column event",
            fix="Is it the kind of event (view, click, ...)? Name another with --column event=YOUR_COLUMN.",
        )
    if len(numbers) > MAX_LEVELS:
        edges = _quantile_edges(numbers, counts)
        value = _bin_means(numbers, counts, edges)
        names = [f"{column}=bin{b}" for b in range(len(value))]
    else:
        edges, value = np.empty(0), numbers.astype(np.float64)
        names = [f"{column}={_short(v)}" for v in value.tolist()]
    clash = sorted(set(names) & set(events))
    if clash:
        raise DataError(
            f"an event is named {clash[0]!r}, like a signal of the column {column}",
            where="column event",
            fix="Rename the event.",
        )
    value = np.concatenate([value, np.full(len(events), np.nan)])
    return Signals((*names, *sorted(events)), value, edges)


def _quantile_edges(numbers: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Inner edges, each a value of the data; a bin is ``edge[b - 1] < number <= edge[b]``."""
    share = np.cumsum(counts) / counts.sum()
    at = np.searchsorted(share, np.arange(1, MAX_BINS) / MAX_BINS)
    return np.unique(numbers[np.minimum(at, len(numbers) - 2)])


def _bin_means(
    numbers: NDArray[np.float64], counts: NDArray[np.int64], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    bins = np.searchsorted(edges, numbers)
    return np.bincount(bins, weights=numbers * counts) / np.bincount(bins, weights=counts)


def _short(number: float) -> str:
    return str(int(number)) if number.is_integer() else repr(number)


def _listed(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "")
