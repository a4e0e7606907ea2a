"""Fills the page's template. Everything stands in the one file: styles, pictures, no scripts, no links out.

Knows nothing of what the sections say.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from jobs.reporting.contents import Chart, Page
from jobs.reporting.drawing import svg

FOLDER = Path(__file__).parent


def html(page: Page) -> str:
    """The page as one HTML text; whatever data say is escaped."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["svg"] = _picture
    style = Markup((FOLDER / "page.css").read_text(encoding="utf-8"))
    return environment.get_template("page.html").render(page=page, style=style)


def _picture(chart: Chart) -> Markup:
    """Matplotlib escapes the texts of its SVG."""
    return Markup(svg(chart.figure, chart.name))
