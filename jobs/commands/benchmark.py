"""``firstclick benchmark``: options and what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.terminal import AsJson, Quiet, console, examples, hushed, print_json

COLD_USERS = Path(__file__).parents[2] / "tune_configs" / "benchmarks" / "cold_users.toml"
EXAMPLES = examples(
    "firstclick benchmark --data movielens-100k --seed 0",
    "firstclick benchmark my_plan.toml --out runs/mine",
)


def benchmark_command(
    file: Annotated[
        Path, typer.Argument(help="TOML: data sets, protocols, methods, seeds.", show_default=False)
    ] = COLD_USERS,
    out: Annotated[Path, typer.Option(help="Folder of cells and results.")] = Path("runs/benchmark"),
    data: Annotated[list[str] | None, typer.Option(help="Only this data set. Repeatable.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Only this method. Repeatable.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only this seed. Repeatable.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compare with tuned rivals on many data sets; resumable. Default: the shipped cold-user benchmark."""
    from jobs.benchmark import benchmark, show, stop_if_failed
    from jobs.benchmarking.plan import read_plan
    from jobs.benchmarking.tables import summary

    plan = read_plan(file).only(data or (), method or (), seed or ())
    with hushed(quiet or as_json):
        groups = benchmark(plan, file.parent, out)
        show(groups)
        console.print(
            f"\ntables: {out / 'benchmark.md'}, plot: {out / 'benchmark.png'}, every user: {out / 'cells'}"
        )
    if as_json:
        print_json(summary(groups))
    stop_if_failed(groups)
