"""From the cells of a benchmark to its tables and its JSON: one table for each data set and order.

Knows nothing of how cells were computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np

from engine.errors import DataError
from engine.evaluation.metrics import Estimate
from engine.evaluation.report import lead, markdown_table, rows
from engine.evaluation.results import Report, over_splits
from jobs.benchmarking.cell import Cell, Failure, Outcome

METRIC = "ndcg@10"
GIVEN = """\
The model also sees what a data set tells of items and users, features and edges; baselines and peers see
interactions alone, the MAML loop users' features, too.
"""


@dataclass(frozen=True)
class Group:
    """One data set in one order: a report a split with the same methods in each, and what is missing."""

    data: str
    order: str
    reports: tuple[Report, ...]  # by seed; empty where no method was measured on every split
    failures: Mapping[Cell, Failure]

    @property
    def title(self) -> str:
        return f"{self.data}, {self.order} order"

    @property
    def left_out(self) -> dict[str, list[int]]:
        """Methods that are not in the table, and the seeds they failed on."""
        seeds: dict[str, list[int]] = {}
        for cell in self.failures:
            seeds.setdefault(cell.method, []).append(cell.seed)
        return seeds


def grouped(outcomes: Mapping[Cell, Outcome]) -> list[Group]:
    """Group the cells, in the order of the plan. A method that failed on any split is left out."""
    groups: dict[tuple[str, str], dict[Cell, Outcome]] = {}
    for cell, outcome in outcomes.items():
        groups.setdefault((cell.data, cell.order), {})[cell] = outcome
    return [_group(*key, cells) for key, cells in groups.items()]


def beside(reports: Sequence[Report]) -> Report:
    """Reports of different methods on the same users as one; the first method is the reference.

    Raises:
        DataError: users, metrics or shots differ.
    """
    first = reports[0]
    for report in reports:
        same = (report.metrics, report.shots) == (first.metrics, first.shots)
        if not same or report.context["users"] != first.context["users"]:
            raise DataError(f"{report.methods[0]} and {first.methods[0]} were measured on different users")
    methods = tuple(method for report in reports for method in report.methods)
    values = np.concatenate([report.values for report in reports])
    context = {key: first.context[key] for key in ("data", "order", "seed", "users")}
    seconds = {report.methods[0]: report.context["fit_s"] for report in reports}
    return Report(methods, first.metrics, first.shots, values, methods[0], {**context, "fit_s": seconds})


def markdown(groups: Iterable[Group]) -> str:
    """All tables as one Markdown document."""
    return "\n".join([GIVEN, *(_section(group) for group in groups)])


def notes(group: Group) -> list[str]:
    """What a reader of the table should know besides."""
    lines = []
    if group.reports:
        percent = [f"{share:+.1%}".replace("%", " %") for share in relative_lead(group.reports)]
        if percent:
            lines.append(f"Lead over the best other, relative: {', '.join(percent)}.")
        seconds = [f"{m} {s:.0f}" for m, s in fit_seconds(group.reports).items()]
        lines.append(f"Seconds of one CPU to train and tune, a split: {', '.join(seconds)}.")
    lines += [f"Left out: {m}, failed on seed {_listed(seeds)}." for m, seeds in group.left_out.items()]
    return lines


def relative_lead(reports: Sequence[Report]) -> list[float]:
    """The reference's lead as a share of the best other method's figure, by shots; NaN where that is 0."""
    reference = next(row for row in rows(reports, METRIC) if row.is_reference)
    ahead = np.array([estimate.mean for estimate in lead(reports, METRIC)])
    rival = np.array([cell.mean for cell in reference.cells])[: len(ahead)] - ahead
    share = np.divide(ahead, rival, out=np.full(len(ahead), np.nan), where=rival > 0)
    return [float(value) for value in share]


def fit_seconds(reports: Sequence[Report]) -> dict[str, float]:
    """Mean time to train and tune each method on a split."""
    return {m: mean(report.context["fit_s"][m] for report in reports) for m in reports[0].methods}


def summary(groups: Iterable[Group]) -> list[dict[str, Any]]:
    """All figures as plain JSON values: means and standard errors over the splits."""
    return [_summary(group) for group in groups]


def _group(data: str, order: str, cells: Mapping[Cell, Outcome]) -> Group:
    failures = {cell: o for cell, o in cells.items() if isinstance(o, Failure)}
    failed = {cell.method for cell in failures}
    by_seed: dict[int, list[Report]] = {}
    for cell, outcome in cells.items():
        if isinstance(outcome, Report) and cell.method not in failed:
            by_seed.setdefault(cell.seed, []).append(outcome)
    return Group(data, order, tuple(beside(reports) for reports in by_seed.values()), failures)


def _section(group: Group) -> str:
    parts = [f"## {group.title}"]
    if group.reports:
        n_users, n_splits = sum(r.n_users for r in group.reports), len(group.reports)
        parts.append(f"nDCG@10 by number of events seen, {n_users:,} new users, splits: {n_splits}.")
        parts.append(markdown_table(group.reports, METRIC).rstrip())
    return "\n\n".join([*parts, *notes(group)]) + "\n"


def _summary(group: Group) -> dict[str, Any]:
    reports = group.reports
    figures: dict[str, Any] = {}
    if reports:
        figures = {
            "shots": list(reports[0].shots),
            "users": sum(r.n_users for r in reports),
            "seeds": [r.context["seed"] for r in reports],
            "reference": reports[0].reference,
            "figures": {m: _figures(reports, m) for m in reports[0].methods},
            "fit_s": fit_seconds(reports),
            "lead": [_estimate(e) for e in lead(reports, METRIC)],
            "relative_lead": [_plain(share) for share in relative_lead(reports)],
        }
    failures = [
        {"method": cell.method, "seed": cell.seed, "message": f.message, "details": f.details}
        for cell, f in group.failures.items()
    ]
    return {"data": group.data, "order": group.order, **figures, "failures": failures}


def _figures(reports: Sequence[Report], method: str) -> dict[str, Any]:
    shots = reports[0].shots
    return {
        metric: [_estimate(over_splits([r.mean(method, metric, k) for r in reports])) for k in shots]
        for metric in reports[0].metrics
    }


def _estimate(e: Estimate) -> dict[str, Any]:
    return {"mean": _plain(e.mean), "se": _plain(e.se)}


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 5)


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
