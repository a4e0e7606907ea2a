"""Draws quality by number of shots, one line a method, the reference with its standard error as a band.

Knows nothing of how figures were measured. Draws with matplotlib's Agg canvas and touches no global state.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from engine.evaluation.report import LOWER_IS_BETTER, Row, rows
from engine.evaluation.results import Report

# Most after Okabe and Ito, darkened to be legible as text; with the dashes told apart by every kind of eye.
REFERENCE_COLOUR = "#0072B2"
COLOURS = ("#808080", "#4D4D4D", "#D55E00", "#007A5A", "#A3528A", "#8A6A00", "#B0174B", "#5E4FA2")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
INK, GREY = "#222222", "#767676"


def plot(
    reports: Sequence[Report],
    path: Path,
    metric: str = "ndcg@10",
    title: str | None = None,
    subtitle: str | None = None,
) -> Path:
    """Write a PNG of ``metric`` by shots, averaged over ``reports``; returns ``path``."""
    figure = draw(reports, metric, title, subtitle)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160, facecolor="white")
    return path


def draw(
    reports: Sequence[Report], metric: str = "ndcg@10", title: str | None = None, subtitle: str | None = None
) -> Figure:
    """The same as a figure. Shots stand at equal distances; lines are labelled at their right ends."""
    figure = Figure(figsize=(8.4, 4.8))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.075, 0.13, 0.68, 0.70))
    lines = rows(reports, metric)
    colours = _colours(lines)
    x = np.arange(len(reports[0].shots))
    for i, row in enumerate(sorted(lines, key=lambda r: r.is_reference)):
        _line(axes, x, row, colours[row.method], DASHES[i % len(DASHES)])
    _dress(axes, reports[0].shots, metric)
    _label(axes, float(x[-1]), lines, colours)
    _head(figure, title or _default_title(metric), subtitle or _users(reports))
    return figure


def _colours(lines: Sequence[Row]) -> dict[str, str]:
    others = [r.method for r in lines if not r.is_reference]
    colours = {method: COLOURS[i % len(COLOURS)] for i, method in enumerate(others)}
    return colours | {r.method: REFERENCE_COLOUR for r in lines if r.is_reference}


def _line(axes: Any, x: Any, row: Row, colour: str, dash: Any) -> None:
    mean = np.array([c.mean for c in row.cells])
    se = np.array([c.se for c in row.cells])
    main = row.is_reference
    if main:
        axes.fill_between(x, mean - se, mean + se, color=colour, alpha=0.16, linewidth=0)
    style = {"linewidth": 2.6, "linestyle": "-"} if main else {"linewidth": 1.5, "linestyle": dash}
    axes.plot(x, mean, color=colour, marker="o", markersize=6 if main else 3.5, **style)


def _dress(axes: Any, shots: Sequence[int], metric: str) -> None:
    axes.set_xticks(range(len(shots)), [str(k) for k in shots])
    axes.set_xlim(-0.15, len(shots) - 1 + 0.12)
    axes.set_xlabel("events seen of a new user", color=INK, fontsize=10.5)
    axes.tick_params(colors=GREY, labelcolor=INK, length=0, labelsize=10)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
    axes.ticklabel_format(axis="y", useOffset=False)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#BBBBBB")
    if metric in LOWER_IS_BETTER:
        axes.text(0, 1.01, "lower is better", transform=axes.transAxes, color=GREY, fontsize=9)


def _label(axes: Any, x: float, lines: Sequence[Row], colours: dict[str, str]) -> None:
    low, high = axes.get_ylim()
    known = [r for r in lines if not np.isnan(r.cells[-1].mean)]
    heights = spread([r.cells[-1].mean for r in known], gap=(high - low) * 0.055)
    for row, height in zip(known, heights, strict=True):
        axes.annotate(
            f"{row.cells[-1].mean:.3f}  {row.method}",
            xy=(x, row.cells[-1].mean),
            xytext=(x + 0.28, height),
            va="center",
            color=colours[row.method],
            fontsize=10.5,
            fontweight="bold" if row.is_reference else "normal",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colours[row.method], "linewidth": 0.7, "shrinkB": 4},
        )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move labels apart to at least ``gap``, in their order and about their centre.

    Touching labels form blocks that are centred on the mean of their wishes (pool adjacent violators).
    """
    order = np.argsort(heights, kind="stable")
    blocks: list[list[float]] = []  # [mean wish of the block's centre, size]
    for i in order:
        blocks.append([heights[i], 1])
        while len(blocks) > 1 and blocks[-1][0] - blocks[-2][0] < gap * (blocks[-1][1] + blocks[-2][1]) / 2:
            (upper, m), (lower, n) = blocks.pop(), blocks.pop()
            blocks.append([(upper * m + lower * n) / (m + n), m + n])
    placed = np.concatenate([[]] + [c + gap * (np.arange(n) - (n - 1) / 2) for c, n in blocks])
    out = np.empty(len(placed))
    out[order] = placed
    return [float(h) for h in out]


def _head(figure: Figure, title: str, subtitle: str) -> None:
    figure.text(0.02, 0.93, title, fontsize=13.5, fontweight="bold", color=INK)
    figure.text(0.02, 0.875, subtitle, fontsize=10, color=GREY)


def _default_title(metric: str) -> str:
    name = metric.replace("ndcg", "nDCG").replace("auc", "AUC")
    return f"Quality of the first slate a new user gets: {name}" if "@" in metric else f"{name} for new users"


def _users(reports: Sequence[Report]) -> str:
    users = f"{sum(r.n_users for r in reports)} users"
    splits = f" in {len(reports)} splits" if len(reports) > 1 else ""
    return f"mean over {users}{splits} that no method was trained on; band: one standard error"
