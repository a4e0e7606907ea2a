"""What an inspection finds, as values and as JSON. Knows nothing of how it was found or is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.data.tables.schema import Schema
from engine.errors import FirstclickError


@dataclass(frozen=True)
class Problem:
    """Something to look at. ``stops``: prepare would refuse."""

    where: str
    what: str
    fix: str = ""
    rows: tuple[str, ...] = ()
    stops: bool = True

    @staticmethod
    def of(error: FirstclickError, where: str = "") -> Problem:
        return Problem(error.where or where, error.what, error.fix)


@dataclass(frozen=True)
class Column:
    """A column and what becomes of it."""

    name: str
    type: str
    meaning: str  # the contract's name, a kind of feature, or "" where it is not used
    why: str
    guessed: bool = False  # prepare has to be told


@dataclass(frozen=True)
class Table:
    """A table of one role, in one or several files."""

    role: str
    files: tuple[Path, ...]
    columns: tuple[Column, ...]
    rows: int | None  # None: not counted
    rows_read: int
    whole: bool


@dataclass(frozen=True)
class Signal:
    name: str
    count: int
    wanted: bool
    mean: float | None = None  # of a bin


@dataclass(frozen=True)
class Events:
    """What the events that were read say."""

    count: int
    users: int
    items: int
    per_user: Mapping[str, int]  # quantiles
    single: int  # users with one event
    dated_share: float
    first: str | None  # dates
    last: str | None
    signals: tuple[Signal, ...]


@dataclass
class Inspection:
    """All that was found."""

    schema: Schema  # told and guessed
    tables: list[Table] = field(default_factory=list)
    guessed: dict[str, str] = field(default_factory=dict)  # contract's name -> own
    kinds: dict[str, dict[str, str]] = field(default_factory=dict)  # "items", "users": feature -> kind
    events: Events | None = None
    about: dict[str, Any] = field(default_factory=dict)  # as in a data set's manifest
    problems: list[Problem] = field(default_factory=list)
    bad_rows: bool = False

    @property
    def stops(self) -> bool:
        """Would ``prepare`` refuse?"""
        return any(problem.stops for problem in self.problems)

    def table(self, role: str) -> Table | None:
        return next((t for t in self.tables if t.role == role), None)

    def to_json(self) -> dict[str, Any]:
        tables = [asdict(t) | {"files": [str(path) for path in t.files]} for t in self.tables]
        return {
            "tables": tables,
            "columns": dict(self.schema.columns),
            "events": self.events and asdict(self.events),
            "counts": self.about.get("counts", {}),
            "relations": self.about.get("relations", {}),
            "problems": [asdict(problem) for problem in self.problems],
            "ready": not self.stops,
        }
