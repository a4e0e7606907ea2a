"""``firstclick report``: options and what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.terminal import AsJson, Quiet, console, examples, hushed, print_json

EXAMPLES = examples(
    "firstclick report --artifact artifact",
    "firstclick report --artifact artifact --data data --out report.html",
    "firstclick report --artifact artifact --data data --quality quality --png pictures",
)


def report_command(
    artifact: Annotated[Path, typer.Option(help="Folder of the artifact.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of the data set it was trained on: tells far more.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    quality: Annotated[
        Path | None, typer.Option(help="What evaluate --out wrote; else it is measured, given --data.")
    ] = None,
    png: Annotated[Path | None, typer.Option(help="Folder for the charts as PNG.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write what an artifact is and how good it is as one HTML page that opens without a network."""
    with hushed(quiet or as_json), console.status("reading") as status:
        from jobs.report import report

        page = report(artifact, data, out, quality, png, status.update)
        console.print(f"report [bold]{out}[/], {len(page.sections)} sections, {len(page.charts)} charts")
        if png is not None:
            console.print(f"charts: {png}")
    if as_json:
        print_json({"report": str(out), "charts": [chart.name for chart in page.charts]})
