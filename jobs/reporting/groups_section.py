"""Quality by group of users and by popularity of items, drawn. Knows nothing of how groups are made.

Shapes: B held-out users, G groups of items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.metrics import Estimate, estimate
from engine.evaluation.plot import INK
from engine.evaluation.report import spelled
from engine.evaluation.results import Report
from jobs.reporting.contents import Chart, Section
from jobs.reporting.drawing import PALETTE, axes_of, few_ticks, label_of, legend, line, named_places
from jobs.reporting.groups import LEAST, UserGroups

MOST_FEATURES = 5
BESIDE = ("late popularity", "item mean + user offset")
"""Baselines that know nothing of a person's taste: what every group gets without the model."""


def users_section(report: Report, groups: Sequence[UserGroups], metric: str) -> Section:
    """A chart a feature: the model and a baseline after as many events as were measured at most."""
    shots = max(report.shots)
    others = [m for m in report.methods if m != report.reference and report.mean(m, metric, shots).n]
    methods = [report.reference, *[m for m in BESIDE if m in others][:1]]
    charts = [_chart(report, by, metric, shots, methods) for by in groups[:MOST_FEATURES]]
    text = (
        f"{spelled(metric)} after {shots} events, with 95 % confidence; groups of {LEAST} users or more. "
        "Bars that do not overlap are worth a closer look."
        if charts
        else f"No feature and no number of events divides these users into groups of {LEAST} or more."
    )
    return Section("users", "Quality by group of users", text, charts)


def items_section(found: Mapping[str, NDArray[np.float64]], names: Sequence[str], n_users: int) -> Section:
    """
    Args:
        found: by method, the share of the wanted items of each group that are among the first ten, (G,).
        names: of the groups.
    """
    figure, axes = axes_of("", "% of the wanted items among the first ten")
    x = np.arange(len(names))
    for place, (method, share_G) in enumerate(found.items()):
        line(axes, x, 100 * share_G, place, method)
    named_places(axes, names)
    axes.tick_params(axis="x", labelsize=8, rotation=0)
    for label in axes.get_xticklabels():
        label.set_ha("center")
    few_ticks(axes)
    legend(axes, 2)
    caption = f"{n_users:,} users; each group of items has about a fifth of the events."
    chart = Chart("items", "What is found, by popularity", caption, figure)
    text = "A model that only knew what is popular would find nothing on the right."
    return Section("items", "Quality by popularity of items", text, [chart])


def _chart(report: Report, groups: UserGroups, metric: str, shots: int, methods: Sequence[str]) -> Chart:
    large = {name: mine for name, mine in groups.members.items() if mine.sum() >= LEAST}
    figure, axes = axes_of(spelled(metric), rows=len(large) + len(methods) - 1)
    y = np.arange(len(large))[::-1]
    for place, method in enumerate(methods):
        values = report.per_user(method, metric, shots)
        cells: list[Estimate] = [estimate(values[mine]) for mine in large.values()]
        colour = PALETTE[0] if place == 0 else PALETTE[1]
        axes.errorbar(
            [c.mean for c in cells],
            y - 0.22 * place,
            xerr=[1.96 * c.se for c in cells],
            fmt="o",
            color=colour,
            markersize=5 if place == 0 else 3.5,
            linewidth=1.6 if place == 0 else 1.1,
            label=method,
        )
    axes.set_yticks(y, [f"{label_of(name)} ({int(mine.sum()):,})" for name, mine in large.items()], color=INK)
    axes.set_ylim(-0.7, len(large) - 0.4)
    if len(methods) > 1:
        legend(axes, 2)
    name = "".join(c if c.isalnum() else "-" for c in groups.feature.lower())
    caption = "In brackets: users of the group."
    return Chart(f"users-{name}", f"By {groups.feature}", caption, figure)
