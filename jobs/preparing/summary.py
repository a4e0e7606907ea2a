"""What ``prepare`` shows: a bar a step while it works, and in the end what it understood.

Knows nothing of how data sets are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from engine.data.signals import PLAIN_EVENT
from engine.data.tables.edges import NOTHING
from jobs.terminal import errors


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
        table.add_row(
            "edges", "\n".join(relation_line(n, about) for n, about in manifest["relations"].items())
        )
    table.add_row("signals", ", ".join(manifest["signals"]["names"]))
    for role in ("item", "user"):
        kinds = {c: k for c, k in manifest[f"{role}_kinds"].items() if k != "ignore"}
        table.add_row(f"{role} features", ", ".join(f"{c} ({k})" for c, k in kinds.items()) or "none")
    ignored = [f"{c} ({why})" for names in manifest["ignored_columns"].values() for c, why in names.items()]
    table.add_row("ignored columns", "\n".join(ignored) or "none")
    for hint in hints(manifest):
        table.add_row("[yellow]look[/]", hint)
    dropped = [f"{d['rows']:,} of {d['file']}: {d['reason']}" for d in manifest["dropped_rows"]]
    table.add_row("dropped rows", "\n".join(dropped) or "none")
    table.add_row("fingerprint", manifest["fingerprint"][:16])
    return table


def hints(manifest: dict[str, Any]) -> Iterator[str]:
    """What may not be as it was meant."""
    counts = manifest["counts"]
    yield from manifest.get("doubts", ())
    for own, name in _overlooked(manifest).items():
        yield f"is {own!r} the {name}? Then say --column {name}={own}"
    if counts["events_overruled"]:
        yield (
            f"{counts['events_overruled']:,} events have a number and a name: the number counts, the name is "
            "not used. Leave the number's column out where the name should count"
        )
    unknown = [name for name, about in manifest["relations"].items() if about["describes"] == NOTHING]
    if unknown:
        yield (
            f"the ends of {', '.join(unknown)} are mostly neither items nor users: these edges are not used. "
            f'Do they describe users? Then say "{unknown[0]}" = "users" under \\[edges] in the schema file'
        )
    for role in ("items", "users"):
        without = counts[f"{role}_without_features"]
        if role in manifest["sources"] and without:
            yield f"{without:,} {role} with events do not occur in the {role} table: they have no features"


def relation_line(name: str, about: dict[str, Any]) -> str:
    """One line for a relation: what became of its edges."""
    used = f"{name}: {about['edges']:,}"
    if not about["ends"]:
        return f"{used} (not used)"
    ends = " and ".join(about["ends"])
    return f"{used}, its {ends} {about['describes']}{_aside(about['unused'], 'at none of them')}"


def _overlooked(manifest: dict[str, Any]) -> dict[str, str]:
    """Columns of the interactions that are not used but are called much like one that would be."""
    named = manifest["signals"]["names"]
    absent = ["rating", "value", "event"] if named == [PLAIN_EVENT] else []
    absent += [] if manifest["dated_share"] else ["timestamp"]
    close = {own: get_close_matches(own, absent, 1) for own in manifest["ignored_columns"]["interactions"]}
    return {own: near[0] for own, near in close.items() if near}


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int | None], None]]:
    """A hook ``(step, done, total)`` that draws one bar a step, on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def show(step: str, done: int, total: int | None) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield show


def _aside(count: int, what: str) -> str:
    return f" ({count:,} {what})" if count else ""
