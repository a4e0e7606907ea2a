"""Shows reports as a table, in the terminal or as Markdown; several reports are averaged over splits.

Knows nothing of how figures were measured. Rows are methods, columns numbers of shots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from engine.evaluation.metrics import Estimate
from engine.evaluation.results import Report, over_splits, same_layout

LOWER_IS_BETTER = ("rmse", "mae")


@dataclass(frozen=True)
class Row:
    """One method: its estimates, and in which columns it is the best."""

    method: str
    cells: tuple[Estimate, ...]
    best: tuple[bool, ...]
    is_reference: bool


def rows(reports: Sequence[Report], metric: str) -> list[Row]:
    """The figures of a table, averaged over ``reports``, the methods in the order of the reports."""
    layout = same_layout(reports)
    cells = {
        method: tuple(over_splits([r.mean(method, metric, k) for r in reports]) for k in layout.shots)
        for method in layout.methods
    }
    best = [_best([c[j].mean for c in cells.values()], metric) for j in range(len(layout.shots))]
    return [
        Row(
            method,
            row,
            tuple(c.mean == b for c, b in zip(row, best, strict=True)),
            method == layout.reference,
        )
        for method, row in cells.items()
    ]


def lead(reports: Sequence[Report], metric: str) -> list[Estimate]:
    """How far the reference is ahead of the best other method, by shots: paired, above 0 = better.

    The other method is chosen for each number of shots after the fact, so the lead is understated.
    """
    layout = same_layout(reports)
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    table = [r for r in rows(reports, metric) if not r.is_reference]
    leads = []
    for j, shots in enumerate(layout.shots if table else ()):
        best = _best([r.cells[j].mean for r in table], metric)
        rival = next((r.method for r in table if r.cells[j].mean == best), table[0].method)
        paired = [r.difference(layout.reference, metric, shots, to=rival) for r in reports]
        mean = over_splits(paired)
        leads.append(Estimate(sign * mean.mean, mean.se, mean.n))
    return leads


def terminal_table(reports: Sequence[Report], metric: str = "ndcg@10", title: str | None = None) -> Table:
    """A rich table: the best of each column bold, the reference with its standard error, then its lead."""
    grid = _applicable(rows(reports, metric))
    table = Table(title=title or _title(reports, metric), title_justify="left", caption=_caption(reports))
    table.add_column("events seen", no_wrap=True)
    for shots in reports[0].shots:
        table.add_column(str(shots), justify="right", no_wrap=True)
    for row in grid:
        style = "cyan" if row.is_reference else None
        table.add_row(row.method, *_texts(row, "[bold]", "[/bold]"), style=style)
        if row.is_reference:
            table.add_row("  ± standard error", *[figure(c.se) for c in row.cells], style="dim cyan")
    ahead = lead(reports, metric)
    if ahead:
        table.add_section()
        table.add_row("lead over the best other", *[_signed(e.mean) for e in ahead])
        table.add_row("  ± standard error", *[figure(e.se) for e in ahead], style="dim")
    return table


def markdown_table(
    reports: Sequence[Report], metric: str = "ndcg@10", lead_name: str = "lead over the best other"
) -> str:
    """The same table as GitHub Markdown, without a title."""
    shots = reports[0].shots
    lines = ["| events seen | " + " | ".join(map(str, shots)) + " |", "|---|" + "---:|" * len(shots)]
    for row in _applicable(rows(reports, metric)):
        texts = _texts(row, "**", "**")
        if row.is_reference:
            texts = _with_errors(texts, row.cells)
        lines.append(f"| {row.method} | " + " | ".join(texts) + " |")
    ahead = lead(reports, metric)
    if ahead:
        leads = _with_errors([_signed(e.mean) for e in ahead], ahead)
        lines.append(f"| *{lead_name}* | " + " | ".join(leads) + " |")
    return "\n".join(lines) + "\n"


def figure(value: float) -> str:
    """Three decimals without a leading zero: .374, 1.002; a dash for NaN."""
    if value != value:
        return "-"
    text = f"{abs(value):.3f}"
    return ("-" if value < 0 and float(text) else "") + text.removeprefix("0")


def spelled(metric: str) -> str:
    """A metric's name for people."""
    name, at, k = metric.partition("@")
    return {"ndcg": "nDCG", "auc": "AUC", "rmse": "RMSE", "mae": "MAE"}.get(name, name) + at + k


def _signed(value: float) -> str:
    return ("+" if value >= 0.0005 else "") + figure(value)


def _with_errors(texts: Sequence[str], estimates: Sequence[Estimate]) -> list[str]:
    return [f"{text} ±{figure(e.se)}" for text, e in zip(texts, estimates, strict=True)]


def _texts(row: Row, opening: str, closing: str) -> list[str]:
    return [
        f"{opening}{figure(cell.mean)}{closing}" if best else figure(cell.mean)
        for cell, best in zip(row.cells, row.best, strict=True)
    ]


def _applicable(grid: Sequence[Row]) -> list[Row]:
    """Without the methods that the metric does not apply to; the reference stays."""
    return [row for row in grid if row.is_reference or any(cell.mean == cell.mean for cell in row.cells)]


def _best(means: Sequence[float], metric: str) -> float:
    known = [mean for mean in means if mean == mean]
    if not known:
        return float("nan")
    return min(known) if metric in LOWER_IS_BETTER else max(known)


def _title(reports: Sequence[Report], metric: str) -> str:
    order = reports[0].context.get("order")
    scenario = reports[0].context.get("scenario", "")
    return (
        f"{scenario} {spelled(metric)}".lstrip()
        + " by number of events seen"
        + (f", {order} order" if order else "")
    )


def _caption(reports: Sequence[Report]) -> str:
    users = sum(r.n_users for r in reports)
    splits = f"{users} new users in {len(reports)} splits" if len(reports) > 1 else f"{users} new users"
    return f"{splits}; ± one standard error; bold: best of the column"
