"""Compares methods on many data sets: every cell a Ray task of one CPU, every finished cell a file.

    python -m jobs.benchmark [FILE] --out FOLDER [--data NAME] [--method NAME] [--seed N]

The same command again goes on where it was stopped, and tries again what failed. A cell is known by its
data, protocol, options and the version of firstclick: after changing the code, give another folder.
What a cell does is in ``benchmarking.cell``, what is compared in ``benchmarking.plan``, how it is shown in
``benchmarking.tables``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from engine.errors import TrainingError
from engine.evaluation.panels import plot_panels
from engine.evaluation.report import figure, terminal_table
from engine.evaluation.results import Report
from jobs.benchmarking.cell import Cell, Failure, Outcome, attempt, load_report, save_report
from jobs.benchmarking.data import ready
from jobs.benchmarking.plan import Plan
from jobs.benchmarking.tables import METRIC, Group, grouped, markdown, notes, summary
from jobs.cluster import attach
from jobs.commands.benchmark import benchmark_command
from jobs.terminal import console, run_command

Execute = Callable[[Sequence[Cell]], Iterator[tuple[Cell, Outcome]]]


def on_ray(cells: Sequence[Cell]) -> Iterator[tuple[Cell, Outcome]]:
    """Run each cell as a Ray task; yields them as they finish. A worker that dies fails its cell alone."""
    import ray
    from ray.exceptions import RayError

    attach()
    task = ray.remote(num_cpus=1, max_retries=1)(attempt)
    pending = {task.remote(cell): cell for cell in cells}
    while pending:
        (done,), _ = ray.wait(list(pending), num_returns=1)
        cell = pending.pop(done)
        try:
            yield cell, ray.get(done)[1]
        except RayError as error:
            yield cell, Failure(f"Ray lost the cell: {str(error).splitlines()[0]}", str(error))


def benchmark(plan: Plan, base: Path, out: Path, execute: Execute = on_ray) -> list[Group]:
    """Measure every cell of the plan that has no file yet, and write tables, plot and JSON.

    Args:
        plan: what is compared.
        base: where relative paths of the plan start.
        out: folder of the cells' files, the prepared data sets and the results; every worker must be
            able to read it.
        execute: computes cells, yielding each with its outcome.

    Raises:
        ConfigError, DataError: the plan or a data set is wrong; no cell was started.
    """
    folders = {name: ready(name, spec, base, out / "data") for name, spec in plan.data.items()}
    cells = list(plan.cells(folders))
    reports = {cell: load_report(out / "cells" / cell.file_name) for cell in cells}
    open_cells = [cell for cell, report in reports.items() if report is None]
    console.print(f"{len(cells)} cells, {len(cells) - len(open_cells)} of them measured before")
    outcomes: dict[Cell, Outcome] = {cell: report for cell, report in reports.items() if report is not None}
    for cell, outcome in shown(execute(open_cells) if open_cells else iter(()), len(open_cells)):
        if isinstance(outcome, Report):
            save_report(outcome, out / "cells" / cell.file_name)
        outcomes[cell] = outcome
    groups = grouped({cell: outcomes[cell] for cell in cells})
    write_results(groups, out)
    return groups


def shown(results: Iterator[tuple[Cell, Outcome]], total: int) -> Iterator[tuple[Cell, Outcome]]:
    """Tell of each cell as it finishes, above a bar where this is a terminal."""
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("cells"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=total)
        for done, (cell, outcome) in enumerate(results, start=1):
            progress.update(bar, completed=done)
            console.print(f"{done}/{total} {escape(str(cell))}  {_told(outcome)}", soft_wrap=True)
            yield cell, outcome


def _told(outcome: Outcome) -> str:
    if isinstance(outcome, Failure):
        return f"[red]failed:[/] {escape(outcome.message)}"
    means = [outcome.mean(outcome.methods[0], METRIC, k).mean for k in outcome.shots]
    seconds = outcome.context["fit_s"] + outcome.context["measure_s"]
    return f"{' '.join(map(figure, means))} [dim]{seconds:.0f} s[/]"


def write_results(groups: Sequence[Group], out: Path) -> None:
    """Write ``benchmark.md``, ``benchmark.json`` and, where there is anything to draw, ``benchmark.png``."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "benchmark.md").write_text(markdown(groups), encoding="utf-8")
    (out / "benchmark.json").write_text(json.dumps(summary(groups), indent=1), encoding="utf-8")
    panels = {group.title: group.reports for group in groups if group.reports}
    if panels:
        plot_panels(panels, out / "benchmark.png", METRIC)


def show(groups: Sequence[Group]) -> None:
    """Print the tables."""
    for group in groups:
        console.print()
        if group.reports:
            console.print(terminal_table(group.reports, METRIC, title=group.title))
        else:
            console.print(f"{group.title}: no method was measured on every split")
        for line in notes(group):
            console.print(line, style="dim", highlight=False)


def stop_if_failed(groups: Sequence[Group]) -> None:
    """Raise TrainingError, naming the first one, if any cell failed."""
    failures: Mapping[Cell, Failure] = {cell: f for group in groups for cell, f in group.failures.items()}
    if failures:
        first = next(iter(failures))
        raise TrainingError(
            f"{len(failures)} of the cells failed: {first}: {failures[first].message.rstrip('.')}",
            fix="The others are kept. The same command tries the failed ones again.",
        )


def main() -> None:
    run_command(benchmark_command)


if __name__ == "__main__":
    main()
