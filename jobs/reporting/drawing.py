"""Axes in one style, and figures as SVG whose colours the page decides, or as PNG.

Figures are small, so that their text can be read on a phone. Knows nothing of what is drawn.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from engine.evaluation.plot import COLOURS, DASHES, GREY, INK, REFERENCE_COLOUR

GRID, LINE = "#E6E6E6", "#BBBBBB"
SIZE = (4.6, 3.1)  # inches
LONGEST = 26  # letters of a label
PALETTE = (REFERENCE_COLOUR, *COLOURS)
VARIABLES: Mapping[str, str] = {
    INK: "--ink",
    GREY: "--muted",
    GRID: "--grid",
    LINE: "--line",
    **{colour: f"--c{i}" for i, colour in enumerate(PALETTE)},
}
"""What each colour is called in the page's style sheet, which has others for the dark."""


def axes_of(x: str, y: str = "", rows: int = 0) -> tuple[Figure, Any]:
    """A figure and its axes. ``rows``: as high as so many bars need."""
    size = (SIZE[0], max(1.1, 0.75 + 0.27 * rows)) if rows else SIZE
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xlabel(x, color=INK, fontsize=9)
    if y:
        axes.set_title(y, loc="left", color=GREY, fontsize=9, fontweight="normal")
    axes.tick_params(which="both", colors=LINE, labelcolor=INK, length=0, labelsize=9)
    axes.grid(axis="x" if rows else "y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    return figure, axes


def label_of(text: str) -> str:
    """A name from the data as it can stand at an axis: not too long, and no formula."""
    short = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return short.replace("$", r"\$")


def few_ticks(axes: Any, whole: bool = False) -> None:
    """At most six ticks on the y axis, and on the x axis too where its numbers are whole."""
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    if whole:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def named_places(axes: Any, names: Sequence[str]) -> None:
    """Equal distances on the x axis, each with its name."""
    crowded = sum(map(len, names)) > 44
    axes.set_xticks(
        range(len(names)), names, rotation=35 if crowded else 0, ha="right" if crowded else "center"
    )
    axes.set_xlim(-0.2, len(names) - 0.8)


def line(axes: Any, x: Any, y: Any, place: int, label: str, se: Any = None) -> None:
    """One series in the ``place``-th colour, 0 the main one; ``se`` draws a 95 % band."""
    colour, main = PALETTE[place % len(PALETTE)], place == 0
    style = {"linewidth": 2.4 if main else 1.4, "linestyle": "-" if main else DASHES[place % len(DASHES)]}
    axes.plot(x, y, color=colour, marker="o", markersize=4.5 if main else 3, label=label, **style)
    if se is not None:
        half = 1.96 * np.asarray(se)
        axes.fill_between(x, y - half, y + half, color=colour, alpha=0.18 if main else 0.07, linewidth=0)


def legend(axes: Any, columns: int = 3) -> None:
    """Below the axes."""
    axes.figure.legend(
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
        handlelength=1.8,
        columnspacing=1.2,
    )


def svg(figure: Figure, name: str) -> str:
    """An SVG element to stand in a page: text as text, colours as the page's variables."""
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour.lower(), f"var({variable})")
    text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', "", text, count=1)


def save_png(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=180, facecolor="white")
