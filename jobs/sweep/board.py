"""How a sweep is shown: a live table at a terminal, elsewhere a line a trial; and a table at the end.

Knows nothing of how trials are chosen or trained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from jobs.terminal import console

SHOWN = 20
"""Rows of a table, at most."""


@dataclass(frozen=True)
class Row:
    """One trial as it stands."""

    run: str
    state: str  # waiting, running, paused, done, stopped (by the scheduler), diverged, failed
    options: Mapping[str, Any]  # those that are searched
    passes: int = 0
    quality: float = -math.inf  # the best so far; higher is better
    seconds: float = 0.0
    failure: str = ""

    @property
    def counts(self) -> bool:
        """Whether it can be the best."""
        return math.isfinite(self.quality) and self.state not in ("diverged", "failed")


def row_of(trial: Trial, ended: bool = False) -> Row:
    """What Ray Tune knows of a trial; ``ended`` where it does not know that yet."""
    told = trial.last_result or {}
    return Row(
        trial.trial_id,
        _state(Trial.TERMINATED if ended else trial.status, told),
        dict(trial.config),
        int(told.get("passes_done", 0)),
        float(told.get("best_quality", -math.inf)),
        float(told.get("time_total_s", 0.0)),
        str(told.get("failure") or (f"see {trial.error_file}" if trial.status == Trial.ERROR else "")),
    )


def _state(status: str, told: Mapping[str, Any]) -> str:
    if status == Trial.TERMINATED:
        return "diverged" if "failure" in told else "done" if told.get("finished") else "stopped"
    names = {Trial.RUNNING: "running", Trial.PAUSED: "paused", Trial.ERROR: "failed"}
    return names.get(status, "waiting")


def ranked(rows: Sequence[Row]) -> list[Row]:
    """The best first; those that cannot be the best last."""
    return sorted(rows, key=lambda row: (row.counts, row.quality), reverse=True)


def table(rows: Sequence[Row], measure: str, title: str) -> Table:
    """The best trials by what they reached; the first is bold. ``measure`` names it."""
    shown = Table(title=title, title_justify="left", caption_justify="left", box=None, header_style="dim")
    for name in ("", measure, "passes", "s"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("options")
    shown.add_column("run", no_wrap=True)
    shown.add_column("", no_wrap=True)
    for place, row in enumerate(ranked(rows)[:SHOWN], start=1):
        numbers = [f"{abs(row.quality):.4f}" if row.counts else "", str(row.passes), f"{row.seconds:.0f}"]
        best = "bold" if place == 1 and row.counts else ""
        shown.add_row(str(place), *numbers, _told(row), row.run, row.state, style=best)
    if len(rows) > SHOWN:
        shown.caption = f"and {len(rows) - SHOWN} more"
    return shown


def _told(row: Row) -> str:
    return escape(" ".join(f"{key}={_figure(value)}" for key, value in row.options.items()))


def _figure(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


class Board(Callback):
    """Shows a sweep while it runs.

    Args:
        total: how many trials there will be.
        measure: the name of what is compared.
    """

    def __init__(self, total: int, measure: str) -> None:
        self._total, self._measure = total, measure
        self._live: Live | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Ray pickles it with the sweep: a resumed one is shown where it is resumed."""
        return Board, (self._total, self._measure)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        if console.is_terminal:
            self._draw(trials)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._tell(trials, row_of(trial, ended=True))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._tell(trials, row_of(trial))

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _draw(self, trials: list[Trial]) -> None:
        if self._live is None:
            self._live = Live(console=console, transient=True, auto_refresh=False)
            self._live.start()
        self._live.update(
            table([row_of(t) for t in trials], self._measure, self._title(trials)), refresh=True
        )

    def _tell(self, trials: list[Trial], row: Row) -> None:
        reached = f"{self._measure} {abs(row.quality):.4f}" if row.counts else escape(row.failure)
        text = (
            f"{self._title(trials)}: {row.state} after {row.passes} passes, {reached}  [dim]{_told(row)}[/]"
        )
        console.print(text, soft_wrap=True, highlight=False)

    def _title(self, trials: list[Trial]) -> str:
        return f"{sum(trial.is_finished() for trial in trials)}/{self._total} trials"
