"""What all commands share at the terminal: the console, progress of a training run, and exit codes.

In a Ray job, or where FIRSTCLICK_LOG=json says so, each event is a line of JSON instead of text.
Exit codes: 0 done, 1 failed, 2 wrong usage. Colours and bars are for terminals alone; NO_COLOR is heeded.
Knows nothing of what the commands do.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from engine.errors import ConfigError, FirstclickError, RequestError

if TYPE_CHECKING:  # brings torch, which only training needs
    from engine.learning.training import PassReport

console = Console()
errors = Console(stderr=True)

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing, except what went wrong.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def examples(*lines: str) -> str:
    """What stands below a command's help."""
    return "\n\n".join(("[bold]Examples[/]", *(f"  {escape(line)}" for line in lines)))


@contextmanager
def hushed(quiet: bool) -> Iterator[None]:
    """Print nothing meanwhile where ``quiet``; an error is printed by `run_app`, outside."""
    before = console.quiet, errors.quiet
    console.quiet, errors.quiet = (quiet or was for was in before)
    try:
        yield
    finally:
        console.quiet, errors.quiet = before


def print_json(value: object) -> None:
    """One line of JSON on stdout, for machines: never wrapped, never coloured."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def as_json() -> bool:
    """Is it a machine that reads what is said?"""
    in_a_job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ  # Ray sets it for what `ray job submit` starts
    return os.environ.get("FIRSTCLICK_LOG", "json" if in_a_job else "text") == "json"


def tell(event: str, text: RenderableType, to: Console = console, **fields: object) -> None:
    """Say what happened: ``text`` to people, or ``event`` and ``fields`` as one line of JSON."""
    if to.quiet:
        return
    if as_json():
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields}
        print(json.dumps(line, default=str), file=to.file, flush=True)
    else:
        to.print(text, soft_wrap=isinstance(text, str))


def run_app(app: Callable[[], Any]) -> None:
    """Run a typer app and leave with its exit code; errors of ours are one message, no traceback."""
    try:
        app()
    except FirstclickError as error:
        about = {"what": error.what, "where": error.where, "fix": error.fix, "kind": type(error).__name__}
        tell("error", f"[red]error:[/] {escape(str(error))}", errors, **about)
        sys.exit(2 if isinstance(error, (ConfigError, RequestError)) else 1)
    except OSError as error:
        tell("error", f"[red]error:[/] {escape(str(error))}", errors, what=str(error), kind="OSError")
        sys.exit(1)
    except KeyboardInterrupt:
        errors.print("stopped")
        sys.exit(130)


def run_command(command: Callable[..., Any]) -> None:
    """Run one command as a program: ``python -m jobs.NAME``."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    run_app(app)


def show_passes(reports: Iterable[PassReport], passes: int, measure: str) -> PassReport | None:
    """Draw a training run while it happens; returns its last report. ``measure`` names the quality."""
    last = None
    columns = (
        BarColumn(bar_width=16),
        TextColumn("pass {task.completed}/{task.total} {task.description}"),
        TimeRemainingColumn(compact=True),
        TextColumn("at most"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("starting", total=passes)
        for last in reports:
            now, best = abs(last.quality), abs(last.best_quality)  # an error's quality is its negative
            text = f"loss {last.loss:.3f} {measure} {now:.4f}, best {best:.4f}"
            progress.update(bar, completed=last.passes_done, description=text)
            if not console.is_terminal:
                line = f"pass {last.passes_done}/{passes} {text}, {last.seconds:.1f} s"
                tell("pass", line, measure=measure, **asdict(last))
    return last
