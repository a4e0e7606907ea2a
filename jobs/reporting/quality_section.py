"""Quality, drawn: by shots beside the baselines, by pass of training, and how true predictions are.

Knows nothing of how figures were measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from engine.evaluation.metrics import Calibration
from engine.evaluation.plot import GREY
from engine.evaluation.report import LOWER_IS_BETTER, Row, figure, lead, rows, spelled
from engine.evaluation.results import Report
from engine.learning.training import PassReport
from jobs.reporting.contents import Chart, Grid, Section
from jobs.reporting.drawing import axes_of, few_ticks, legend, line, named_places

SCENARIOS = {
    "user-cold": "people no method was trained on",
    "item-cold": "known people, asked for items nobody had met",
    "both-cold": "new people, asked for items nobody had met",
}


def training_section(history: Sequence[PassReport], measure: str) -> Section:
    """Loss and quality by pass."""
    if not history:
        text = "The artifact does not tell: it was written by an older version of firstclick."
        return Section("training", "Training", text)
    best = max(history, key=lambda report: report.quality)
    x = [report.passes_done for report in history]
    loss, axes = axes_of("pass over the users", "loss per query event")
    line(axes, x, [report.loss for report in history], 0, "loss")
    few_ticks(axes, whole=True)
    curve, axes = axes_of("pass over the users", f"{measure} of validation users")
    line(axes, x, [abs(report.quality) for report in history], 0, measure)
    axes.axvline(best.passes_done, color=GREY, linewidth=1, linestyle=":")
    few_ticks(axes, whole=True)
    seconds = sum(report.seconds for report in history)
    text = (
        f"{len(history)} passes in {seconds:,.0f} s. The model is that of pass {best.passes_done}, "
        f"with {measure} {abs(best.quality):.4f} on users it was not trained on."
    )
    charts = [
        Chart("training-loss", "Loss", "Of what people did next, after adaptation.", loss),
        Chart("training-quality", "Quality", "Dotted: the pass that is kept.", curve),
    ]
    return Section("training", "Training", text, charts)


def quality_section(reports: Mapping[str, Report], headline: str) -> Section:
    """A chart and a table for each scenario."""
    charts: list[Chart] = []
    grids: list[Grid] = []
    for scenario, report in reports.items():
        for metric in dict.fromkeys((headline, "ndcg@10")):
            name = f"quality-{scenario}-{metric.replace('@', '-at-')}"
            title = f"{spelled(metric)}: {SCENARIOS.get(scenario, scenario)}"
            caption = f"{report.n_users:,} users; bands: 95 % confidence." + _better(metric)
            charts.append(Chart(name, title, caption, _by_shots(report, metric)))
            grids.append(_table(report, metric, title))
            if len(report.methods) > 1:
                charts.append(_lead(report, metric, f"{name}-lead"))
    text = (
        "Each method is shown the first events of a person and asked for what came later; baselines are "
        "tuned for each number of events."
    )
    return Section("quality", "Quality by shots", text, charts, grids)


def told_quality(test: Mapping[str, Mapping[str, float]] | None, headline: str) -> Section:
    """What the manifest says, where nothing else is known."""
    if not test:
        return Section("quality", "Quality by shots", "There were no test users to judge by.")
    shots = list(next(iter(test.values())))
    drawn, axes = axes_of("events seen of a new user", spelled(headline))
    for place, (method, by_shots) in enumerate(test.items()):
        line(axes, np.arange(len(shots)), list(by_shots.values()), place, method)
    named_places(axes, shots)
    few_ticks(axes)
    legend(axes)
    caption = "As measured when it was published." + _better(headline)
    text = "With --data DATASET it is compared with all baselines, with bands of confidence."
    chart = Chart("quality", f"{spelled(headline)}: {SCENARIOS['user-cold']}", caption, drawn)
    return Section("quality", "Quality by shots", text, [chart])


def calibration_section(tables: Mapping[int, Calibration], meaning: str) -> Section:
    """Predicted and what came true.

    Args:
        tables: by shots.
        meaning: "probability", "value", or "order": then there is nothing to compare.
    """
    if meaning == "order":
        text = "Scores of a ranking are an order: there are no predictions that could be true or not."
        return Section("calibration", "Calibration", text)
    if not tables:
        return Section("calibration", "Calibration", "Give --data DATASET to measure it.")
    chances = meaning == "probability"
    unit = "chance" if chances else "number"
    drawn, axes = axes_of(
        f"predicted {unit}", "share that came true" if chances else "mean of what was given"
    )
    for place, (shots, table) in enumerate(tables.items()):
        known = table.count > 0
        line(axes, table.predicted[known], table.observed[known], place, f"{shots} events")
    low, high = axes.get_xlim()
    axes.plot([low, high], [low, high], color=GREY, linewidth=1, linestyle=":")
    few_ticks(axes)
    legend(axes)
    errors = ", ".join(f"{table.error:.2g} at {shots}" for shots, table in tables.items())
    caption = f"Dotted: every prediction true. Mean error: {errors} events."
    chart = Chart("calibration", f"Predicted {unit}s and what came true", caption, drawn)
    text = "People no method was trained on; predictions in groups of like ones."
    return Section("calibration", "Calibration", text, [chart])


def _better(metric: str) -> str:
    return " Lower is better." if metric in LOWER_IS_BETTER else ""


def _by_shots(report: Report, metric: str) -> Figure:
    drawn, axes = axes_of("events seen of a new user", spelled(metric))
    x = np.arange(len(report.shots))
    for place, row in enumerate(_main_first(rows([report], metric))):
        _row(axes, x, row, place)
    named_places(axes, [str(k) for k in report.shots])
    few_ticks(axes)
    legend(axes)
    return drawn


def _lead(report: Report, metric: str, name: str) -> Chart:
    """Pairing removes what tells users apart, so it is far surer than the two bands."""
    drawn, axes = axes_of("events seen of a new user", f"{spelled(metric)}, above 0 is better")
    ahead = lead([report], metric)
    x = np.arange(len(ahead))
    line(axes, x, np.array([e.mean for e in ahead]), 0, "", [e.se for e in ahead])
    axes.axhline(0, color=GREY, linewidth=1, linestyle=":")
    named_places(axes, [str(k) for k in report.shots])
    few_ticks(axes)
    caption = "Mean of the users' own differences to the method that is best at that number of events."
    return Chart(name, "Lead over the best other", caption, drawn)


def _main_first(table: Sequence[Row]) -> list[Row]:
    told = [row for row in table if any(cell.mean == cell.mean for cell in row.cells)]
    return sorted(told, key=lambda row: not row.is_reference)


def _row(axes: Any, x: Any, row: Row, place: int) -> None:
    mean, se = (np.array([getattr(cell, name) for cell in row.cells]) for name in ("mean", "se"))
    line(axes, x, mean, place, row.method, se)


def _table(report: Report, metric: str, title: str) -> Grid:
    def cells(row: Row) -> list[str]:
        return [f"{figure(c.mean)} ±{figure(c.se)}" for c in row.cells]

    body = [[row.method, *cells(row)] for row in _main_first(rows([report], metric))]
    ahead = lead([report], metric)
    if ahead:
        body.append(["lead over the best other", *(f"{e.mean:+.3f} ±{figure(e.se)}" for e in ahead)])
    head = ["events seen", *map(str, report.shots)]
    return Grid(head, body, f"{title}. ±: one standard error.", folded=True)
