"""Counts what the events say: signals, dates, and how many a user has. Knows nothing of files.

Shapes: R signals.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from engine.data.signals import Signals
from engine.data.tables.interactions import Tally
from jobs.inspection.findings import Events, Signal

QUANTILES = {"min": 0.0, "10 %": 0.1, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "90 %": 0.9, "max": 1.0}


def about_events(tally: Tally, cleaned: Sequence[pa.Table], signals: Signals) -> Events:
    """Of counted events, and the cleaned tables they were counted in."""
    per_user = np.fromiter(tally.users.values(), np.int64)
    at = np.quantile(per_user, list(QUANTILES.values()), method="lower")
    times = np.concatenate([table["timestamp"].to_numpy() for table in cleaned])
    known = times[~np.isnan(times)]
    return Events(
        count=tally.n_events,
        users=len(tally.users),
        items=len(tally.items),
        per_user=dict(zip(QUANTILES, map(int, at), strict=True)),
        single=int((per_user == 1).sum()),
        dated_share=tally.n_dated / tally.n_events,
        first=_day(known.min()) if len(known) else None,
        last=_day(known.max()) if len(known) else None,
        signals=_signals(tally, signals),
    )


def _signals(tally: Tally, signals: Signals) -> tuple[Signal, ...]:
    count_R = np.zeros(len(signals), dtype=np.int64)
    levels = np.array(list(tally.numbers), dtype=np.float64)
    if len(levels):
        np.add.at(count_R, signals.encode_numbers(levels), list(tally.numbers.values()))
    for name, count in tally.events.items():
        count_R[signals.n_numbers + signals.event_names.index(name)] += count
    wanted = signals.relevant().tolist()
    means = [value if signals.binned and value == value else None for value in signals.value.tolist()]
    told = zip(signals.names, count_R.tolist(), wanted, means, strict=True)
    return tuple(Signal(*entry) for entry in told)


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(float(seconds), UTC).date().isoformat()
