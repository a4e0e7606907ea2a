"""The data, drawn: how many events people have, how unequal items are, what the signals are.

Knows nothing of models.

Shapes: U users, N catalogue, R signals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.dataset import Dataset
from jobs.reporting.contents import Chart, Section
from jobs.reporting.drawing import PALETTE, axes_of, few_ticks, label_of, line

MOST_BARS = 12


def data_section(dataset: Dataset, relevant: NDArray[np.bool_], shots: Sequence[int]) -> Section:
    """
    Args:
        relevant: (R,) which signals are wanted.
        shots: where quality is measured.
    """
    lengths_U = dataset.histories.lengths
    counts_N = np.bincount(dataset.histories.item_row, minlength=dataset.n_items)
    count_R = np.bincount(dataset.histories.signal, minlength=len(dataset.signals))
    dated = dataset.manifest["dated_share"]
    text = (
        f"{dataset.n_users:,} users, {dataset.n_items:,} items and {int(counts_N.sum()):,} events, "
        f"{dated:.0%} of them dated. The median user has {int(np.median(lengths_U)):,} events, the median "
        f"item {int(np.median(counts_N)):,}; {int((counts_N == 0).sum()):,} items have none."
    )
    charts = [
        _events_per_user(lengths_U),
        _known_after(lengths_U, shots),
        _popularity(counts_N),
        _signals(dataset.signals.names, count_R, relevant),
    ]
    return Section("data", "Data", text, charts)


def _events_per_user(lengths_U: NDArray[np.int64]) -> Chart:
    figure, axes = axes_of("events of a user", "users")
    top = max(int(lengths_U.max()), 2)
    edges = np.unique(np.round(np.geomspace(1, top + 1, 25)))
    axes.hist(lengths_U, bins=edges, color=PALETTE[0], linewidth=0.6, edgecolor="white", alpha=0.85)
    axes.set_xscale("log")
    _plain_numbers(axes, top)
    few_ticks(axes)
    return Chart("events-per-user", "Events per user", "Bins widen with the number of events.", figure)


def _known_after(lengths_U: NDArray[np.int64], shots: Sequence[int]) -> Chart:
    figure, axes = axes_of("at least so many events", "% of users")
    places = np.unique([max(k, 1) for k in (*shots, 2, 50, 100, 200) if k <= lengths_U.max()])
    share = [100 * float((lengths_U >= k).mean()) for k in places]
    line(axes, places, share, 0, "")
    axes.set_xscale("log")
    axes.set_ylim(0, 104)
    _plain_numbers(axes, int(places[-1]))
    return Chart("shots", "Shots people can give", "How many users have told at least so much.", figure)


def _popularity(counts_N: NDArray[np.int64]) -> Chart:
    figure, axes = axes_of("% of items, the most popular first", "% of events")
    share = np.cumsum(np.sort(counts_N)[::-1]) / max(counts_N.sum(), 1)
    x = 100 * np.arange(1, len(share) + 1) / len(share)
    axes.plot(x, 100 * share, color=PALETTE[0], linewidth=2.4)
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 104)
    tenth = 100 * float(share[max(len(share) // 10 - 1, 0)])
    caption = f"The most popular tenth of the items has {tenth:.0f} % of the events."
    return Chart("popularity", "Popularity of items", caption, figure)


def _signals(names: Sequence[str], count_R: NDArray[np.int64], relevant: NDArray[np.bool_]) -> Chart:
    shown = np.sort(np.argsort(-count_R, kind="stable")[:MOST_BARS])[::-1]
    figure, axes = axes_of("events", rows=len(shown))
    colours = [PALETTE[0] if relevant[row] else PALETTE[1] for row in shown]
    axes.barh([label_of(names[row]) for row in shown], count_R[shown], color=colours, height=0.7)
    axes.xaxis.set_major_formatter(lambda x, _: _short(x))
    axes.locator_params(axis="x", nbins=5)
    return Chart("signals", "Signals", "Blue: counts as wanted. Grey: only says what was met.", figure)


def _plain_numbers(axes: Any, top: int) -> None:
    ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000) if t <= top]
    step = -(-len(ticks) // 8)
    axes.set_xticks(ticks[::step], [f"{t:,}" for t in ticks[::step]])
    axes.minorticks_off()


def _short(number: float) -> str:
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:g} {name}"
    return f"{number:g}"
