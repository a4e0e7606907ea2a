"""Shows an inspection at the terminal. Knows nothing of how it was found."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table as Grid
from rich.text import Text

from engine.data.features.kinds import IGNORE
from jobs.inspection.findings import Events, Inspection, Problem, Signal, Table
from jobs.preparing.summary import hints, relation_line

SHOWN = 12  # signals


def views(found: Inspection, command: str | None) -> Iterator[RenderableType]:
    """What to print, one after the other."""
    for table in found.tables:
        names = ", ".join(path.name for path in table.files[:3]) + (" ..." if len(table.files) > 3 else "")
        yield Text.from_markup(f"[bold]{table.role}[/]: {escape(names)}, {_rows(table)}")
        yield _columns(table)
    if found.events:
        whole = (found.table("interactions") or found.tables[0]).whole
        yield Text.from_markup(f"[bold]what people did[/]{'' if whole else ', in the sample'}")
        yield _events(found.events, found)
    yield from _problems(found)
    if command:
        word = "next, when they are mended" if found.stops else "next"
        yield Text.from_markup(f"\n[bold]{word}:[/]")
        yield Text(command, style="green")


def _columns(table: Table) -> Grid:
    grid = Grid()
    for heading in ("column", "type", "is", "why"):
        grid.add_column(heading, overflow="fold")
    for column in table.columns:
        meaning = column.meaning or "not used"
        style = "yellow" if column.guessed else "dim" if meaning in (IGNORE, "not used") else None
        grid.add_row(*map(escape, (column.name, column.type, meaning, column.why)), style=style)
    return grid


def _rows(table: Table) -> str:
    if table.whole:
        return f"{table.rows_read:,} rows"
    total = f" of {table.rows:,}" if table.rows else ""
    return f"a sample of {table.rows_read:,}{total} rows"


def _events(events: Events, found: Inspection) -> Grid:
    grid = Grid(show_header=False)
    grid.add_row("events", f"{events.count:,} of {events.users:,} users with {events.items:,} items")
    counts = ", ".join(f"{name} {count:,}" for name, count in events.per_user.items())
    single = f"; {events.single:,} users have a single one" if events.single else ""
    grid.add_row("events per user", counts + single)
    span = f", {events.first} to {events.last}" if events.first else ""
    grid.add_row("dated", f"{events.dated_share:.0%}{span}")
    grid.add_row("signals", "\n".join(_signals(events)))
    missing = "\n".join(_missing(found))
    if missing:
        grid.add_row("ids", missing)
    relations = found.about.get("relations", {})
    if relations:
        grid.add_row("edges", "\n".join(escape(relation_line(n, about)) for n, about in relations.items()))
    for hint in hints(found.about):
        grid.add_row("[yellow]look[/]", hint)
    return grid


def _signals(events: Events) -> Iterator[str]:
    for signal in events.signals[:SHOWN]:
        name = signal.name if signal.mean is None else f"{signal.name} (mean {signal.mean:.4g})"
        yield f"{escape(name)}: {signal.count:,}{' [green]wanted[/]' if signal.wanted else ''}"
    if len(events.signals) > SHOWN:
        yield f"... {len(events.signals) - SHOWN} more"
    if len(events.signals) > 1:
        yield f"[dim]wanted otherwise? pretrain {escape(_other_wish(events.signals[-1]))}[/]"


def _other_wish(last: Signal) -> str:
    """How something else is said to be wanted: numbers from one on, or events by name."""
    number = last.name.removeprefix("rating=").removeprefix("value=")
    if number == last.name:
        return f"--set 'signals.relevant=[\"{last.name}\"]'"
    return f"--set signals.relevant_min={number if last.mean is None else f'{last.mean:.4g}'}"


def _missing(found: Inspection) -> Iterator[str]:
    """Ids that are in one table and not in another; features that are missing are told as a hint."""
    counts = found.about["counts"]
    for role in ("users", "items"):
        if found.table(role) is not None and counts[f"{role}_without_events"]:
            yield f"{counts[f'{role}_without_events']:,} {role} of the {role} table have no events"


def _problems(found: Inspection) -> Iterator[RenderableType]:
    if not found.problems:
        yield Text.from_markup("[green]no problems[/]")
    for problem in sorted(found.problems, key=lambda p: not p.stops):
        yield _problem(problem)


def _problem(problem: Problem) -> Text:
    text = Text(
        "\nproblem " if problem.stops else "\nlook    ", style="bold red" if problem.stops else "yellow"
    )
    where = f"{problem.where}: " if problem.where else ""
    text.append(f"{where}{problem.what}", style="default not bold")
    for row in problem.rows:
        text.append(f"\n          {row}", style="dim not bold")
    if problem.fix:
        text.append(f"\n        {problem.fix}", style="default not bold")
    return text
