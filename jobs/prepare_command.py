"""The command ``firstclick prepare``: arguments in, a summary of what was understood out.

Knows nothing of how data sets are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from engine.data.schema import Schema, read_schema
from engine.data.signals import PLAIN_EVENT
from jobs.prepare import ENGINES, POLICIES, prepare
from jobs.terminal import console, errors, run_command

TABLE = "A file, folder or quoted glob of parquet, CSV or TSV"


def prepare_command(
    interactions: Annotated[str, typer.Option(help=f"Events: user_id, item_id, ... {TABLE}.")],
    out: Annotated[Path, typer.Option(help="The data set to write, a folder.")],
    users: Annotated[str | None, typer.Option(help="user_id and features.")] = None,
    items: Annotated[str | None, typer.Option(help="item_id and features.")] = None,
    edges: Annotated[str | None, typer.Option(help="src, relation, dst.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="Your name for a column: event=event_type. May be repeated.")
    ] = None,
    schema: Annotated[
        Path | None, typer.Option(help="TOML: [columns] own names, [items] and [users] feature kinds.")
    ] = None,
    on_bad_rows: Annotated[
        str, typer.Option(help=f"What to do at bad rows: {' or '.join(POLICIES)}.")
    ] = "stop",
    engine: Annotated[str, typer.Option(help=f"Where to work: {', '.join(ENGINES)}.")] = "auto",
) -> None:
    """Turn tables of events, items and users into a data set for pretraining."""
    told = (read_schema(schema) if schema else Schema()).with_columns(column or [])
    with _progress_bars() as progress:
        manifest = prepare(
            interactions=interactions,
            out=out,
            users=users,
            items=items,
            edges=edges,
            schema=told,
            on_bad_rows=on_bad_rows,
            engine=engine,
            progress=progress,
        )
    console.print(summary(manifest, str(out)))


def summary(manifest: dict[str, Any], folder: str) -> Table:
    """What was understood, for the person who has to check it."""
    table = Table(title=f"Data set {folder}", show_header=False, title_justify="left")
    counts, dated = manifest["counts"], manifest["dated_share"]
    table.add_row(
        "users",
        f"{counts['users']:,}{_aside(counts['users_without_events'], 'more are left out: no events')}",
    )
    table.add_row(
        "items", f"{counts['items']:,}{_aside(counts['items_without_events'], 'of them cold: no events')}"
    )
    table.add_row("events", f"{counts['events']:,}, {dated:.0%} dated")
    if counts["edges"]:
        table.add_row("edges", f"{counts['edges']:,}")
    table.add_row("signals", ", ".join(manifest["signals"]["names"]))
    for role in ("item", "user"):
        kinds = {c: k for c, k in manifest[f"{role}_kinds"].items() if k != "ignore"}
        table.add_row(f"{role} features", ", ".join(f"{c} ({k})" for c, k in kinds.items()) or "none")
    ignored = [f"{c} ({role})" for role, names in manifest["ignored_columns"].items() for c in names]
    table.add_row("ignored columns", ", ".join(ignored) or "none")
    for own, name in _overlooked(manifest).items():
        table.add_row("hint", f"is {own!r} the {name}? Then say --column {name}={own}")
    dropped = [f"{d['rows']:,} of {d['file']}: {d['reason']}" for d in manifest["dropped_rows"]]
    table.add_row("dropped rows", "\n".join(dropped) or "none")
    table.add_row("fingerprint", manifest["fingerprint"][:16])
    return table


def _overlooked(manifest: dict[str, Any]) -> dict[str, str]:
    """Columns of the interactions that are not used but are called much like one that would be."""
    named = manifest["signals"]["names"]
    absent = ["rating", "value", "event"] if named == [PLAIN_EVENT] else []
    absent += [] if manifest["dated_share"] else ["timestamp"]
    close = {own: get_close_matches(own, absent, 1) for own in manifest["ignored_columns"]["interactions"]}
    return {own: near[0] for own, near in close.items() if near}


def main() -> None:
    run_command(prepare_command)


@contextmanager
def _progress_bars() -> Iterator[Callable[[str, int, int | None], None]]:
    """A hook ``(step, done, total)`` that draws one bar a step, on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors) as bars:
        tasks: dict[str, TaskID] = {}

        def show(step: str, done: int, total: int | None) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield show


def _aside(count: int, what: str) -> str:
    return f" ({count:,} {what})" if count else ""
