"""Draws several data sets in one picture: a panel each, the same line for a method in all of them.

Knows nothing of how figures were measured. Draws with matplotlib's Agg canvas and touches no global state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from engine.evaluation.plot import COLOURS, DASHES, GREY, INK, REFERENCE_COLOUR
from engine.evaluation.report import Row, rows
from engine.evaluation.results import Report

COLUMNS = 3  # at most
PANEL_WIDTH, PANEL_HEIGHT, LEGEND_HEIGHT = 4.2, 3.3, 0.7  # inches
Style = Mapping[str, Any]


def plot_panels(panels: Mapping[str, Sequence[Report]], path: Path, metric: str = "ndcg@10") -> Path:
    """Write a PNG with a panel for each title: ``metric`` by shots, averaged over its reports.

    The band around the reference is one standard error. Panels may differ in shots and methods.
    """
    figure = draw_panels(panels, metric)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, facecolor="white")
    return path


def draw_panels(panels: Mapping[str, Sequence[Report]], metric: str = "ndcg@10") -> Figure:
    """The same as a figure."""
    columns = min(COLUMNS, math.ceil(math.sqrt(len(panels))))
    n_rows = -(-len(panels) // columns)
    width, height = max(columns, 2) * PANEL_WIDTH, n_rows * PANEL_HEIGHT + LEGEND_HEIGHT
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    lines = {title: rows(reports, metric) for title, reports in panels.items()}
    styles = _styles([row for table in lines.values() for row in table])
    grid = figure.subplots(n_rows, columns, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for axes, (title, table) in zip(grid, lines.items(), strict=False):
        _panel(axes, title, table, panels[title][0].shots, styles)
        axes.set_ylabel(metric.replace("ndcg", "nDCG"), fontsize=9.5, color=INK)
    _place(figure, width, height)
    handles = [Line2D([], [], **style) for style in styles.values()]
    figure.legend(handles, list(styles), loc="lower center", ncols=5, frameon=False, fontsize=9.5)
    return figure


def _place(figure: Figure, width: float, height: float) -> None:
    """Margins and gaps in inches: room for tick labels and titles, and for the legend below."""
    figure.subplots_adjust(
        left=0.75 / width,
        right=1 - 0.15 / width,
        top=1 - 0.4 / height,
        bottom=(LEGEND_HEIGHT + 0.5) / height,
        wspace=0.8 / (PANEL_WIDTH - 0.8),
        hspace=1.0 / (PANEL_HEIGHT - 1.0),
    )


def _styles(lines: Sequence[Row]) -> dict[str, Style]:
    """A colour and a dash for each method: no two share both."""
    reference = {row.method for row in lines if row.is_reference}
    others = [m for m in dict.fromkeys(row.method for row in lines) if m not in reference]
    main = {"color": REFERENCE_COLOUR, "linewidth": 2.6, "linestyle": "-", "markersize": 5, "marker": "o"}
    styles: dict[str, Style] = dict.fromkeys(sorted(reference), main)
    for i, method in enumerate(others):
        dash = DASHES[(i % len(COLOURS) + i // len(COLOURS)) % len(DASHES)]
        colour = COLOURS[i % len(COLOURS)]
        styles[method] = main | {"color": colour, "linewidth": 1.4, "linestyle": dash, "markersize": 3}
    return styles


def _panel(
    axes: Any, title: str, table: Sequence[Row], shots: Sequence[int], styles: Mapping[str, Style]
) -> None:
    x = np.arange(len(shots))
    for row in sorted(table, key=lambda r: r.is_reference):
        mean = np.array([cell.mean for cell in row.cells])
        axes.plot(x, mean, **styles[row.method])
        if row.is_reference:
            se = np.array([cell.se for cell in row.cells])
            axes.fill_between(x, mean - se, mean + se, color=REFERENCE_COLOUR, alpha=0.16, linewidth=0)
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
    axes.set_xticks(x, [str(k) for k in shots])
    axes.set_xlabel("events seen of a new user", color=INK, fontsize=9.5)
    axes.tick_params(colors=GREY, labelcolor=INK, length=0, labelsize=9)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#BBBBBB")
