"""What a page consists of: sections with charts and tables. Knows nothing of models or of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Chart:
    """A picture; ``name`` is also that of its PNG."""

    name: str
    title: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Grid:
    """A table of texts. ``numeric``: all columns but the first hold numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    numeric: bool = True
    folded: bool = False  # shown on demand


@dataclass(frozen=True)
class Section:
    """A part of the page, with a line of its own in the list of contents."""

    name: str
    title: str
    text: str = ""
    charts: Sequence[Chart] = ()
    grids: Sequence[Grid] = ()


@dataclass(frozen=True)
class Fact:
    """A figure that is worth knowing first."""

    value: str
    name: str


@dataclass(frozen=True)
class Page:
    title: str
    subtitle: str
    facts: Sequence[Fact]
    sections: Sequence[Section] = field(default_factory=tuple)

    @property
    def charts(self) -> list[Chart]:
        return [chart for section in self.sections for chart in section.charts]
