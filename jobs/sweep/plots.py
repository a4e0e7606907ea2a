"""Pictures of a sweep: every trial across all options, and over the two rates.

Knows nothing of how trials were made. Draws with matplotlib's Agg canvas and touches no global state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from engine.evaluation.plot import GREY, INK
from jobs.search_space import Choices, Domain, Range
from jobs.sweep.board import Row, ranked

RATES = ("inner.inner_lr", "outer.outer_lr")
COLOURS = "viridis"


def plane(space: Mapping[str, Domain]) -> tuple[str, str] | None:
    """The two options of the second picture: the rates where they are searched, else the first two ranges."""
    ranges = [key for key, domain in space.items() if isinstance(domain, Range)]
    first = [key for key in RATES if key in ranges] + [key for key in ranges if key not in RATES]
    return (first[0], first[1]) if len(first) > 1 else None


def plot_parallel(rows: Sequence[Row], space: Mapping[str, Domain], measure: str, path: Path) -> None:
    """A vertical axis for each option and for the quality; a line for each trial, the best drawn last."""
    rows = [row for row in reversed(ranked(rows)) if row.counts]
    figure, axes, colours = _canvas(rows, width=2.2 + 1.7 * len(space))
    for row in rows:
        height = [_height(domain, row.options[key]) for key, domain in space.items()]
        height.append(float(colours.norm(row.quality)))
        best = row is rows[-1]
        style: dict[str, Any] = {"linewidth": 2.8, "alpha": 1.0} if best else {"linewidth": 1.2, "alpha": 0.7}
        axes.plot(height, color=colours.to_rgba(row.quality), **style)
    for x, domain in enumerate(space.values()):
        axes.axvline(x, color="#BBBBBB", linewidth=0.8, zorder=0)
        for value in _marks(domain):
            text = f"{value:.3g}" if isinstance(value, float) else str(value)
            axes.text(x + 0.03, _height(domain, value), text, fontsize=8, color=GREY, va="center")
    axes.axvline(len(space), color="#BBBBBB", linewidth=0.8, zorder=0)
    axes.set_xticks(range(len(space) + 1), [key.replace(".", ".\n") for key in space] + [measure])
    axes.set_yticks([])
    axes.set_ylim(-0.05, 1.05)
    _finish(figure, axes, colours, measure, path)


def plot_plane(
    rows: Sequence[Row], space: Mapping[str, Domain], keys: tuple[str, str], measure: str, path: Path
) -> None:
    """A point for each trial, coloured by its quality; the best has a ring. The axes span the space."""
    rows = [row for row in reversed(ranked(rows)) if row.counts]
    figure, axes, colours = _canvas(rows, width=6.0)
    x, y = ([_height(space[key], row.options[key]) for row in rows] for key in keys)
    axes.scatter(x, y, c=[row.quality for row in rows], norm=colours.norm, cmap=COLOURS, s=70, zorder=2)
    axes.scatter(x[-1:], y[-1:], s=220, facecolors="none", edgecolors=INK, linewidths=1.4, zorder=2)
    for key, axis in zip(keys, (axes.xaxis, axes.yaxis), strict=True):
        marks = _marks(space[key])
        axis.set_ticks([_height(space[key], value) for value in marks], [f"{value:.3g}" for value in marks])
        axis.set_label_text(key, color=INK)
    axes.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05))
    axes.grid(color="#E6E6E6", linewidth=0.8)
    _finish(figure, axes, colours, measure, path)


def _canvas(rows: Sequence[Row], width: float) -> tuple[Figure, Axes, ScalarMappable]:
    quality = [row.quality for row in rows]
    figure = Figure(figsize=(width, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    low = float(np.quantile(quality, 0.25)) if quality else 0.0  # the better three quarters share the colours
    norm = Normalize(low, max([*quality, low + 1e-9]), clip=True)
    return figure, figure.subplots(), ScalarMappable(norm, COLOURS)


def _finish(figure: Figure, axes: Axes, colours: ScalarMappable, measure: str, path: Path) -> None:
    axes.tick_params(colors=GREY, labelcolor=INK, length=0, labelsize=9)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    bar = figure.colorbar(colours, ax=axes, format=lambda value, _: f"{abs(value):.4g}")
    bar.set_label(measure, color=INK)
    bar.outline.set_visible(False)
    figure.savefig(path, dpi=150, facecolor="white")


def _height(domain: Domain, value: Any) -> float:
    """Where a value stands on its axis, from 0 to 1."""
    if isinstance(domain, Choices):
        return domain.choices.index(value) / (len(domain.choices) - 1)
    low, high, value = (_scaled(domain, v) for v in (domain.min, domain.max, value))
    return float((value - low) / (high - low))


def _scaled(domain: Range, value: float) -> float:
    return float(np.log(value) if domain.scale == "log" else value)


def _marks(domain: Domain) -> Sequence[Any]:
    """Values written beside an axis."""
    if isinstance(domain, Choices):
        return domain.choices
    if domain.type == "int" and domain.max - domain.min < 4:
        return range(int(domain.min), int(domain.max) + 1)
    return list(map(float, (np.geomspace if domain.scale == "log" else np.linspace)(*domain.ends, 4)))
