"""``firstclick evaluate``: options and what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.terminal import AsJson, Quiet, examples, hushed, print_json, tell

EXAMPLES = examples(
    "firstclick evaluate --artifact artifact --data data",
    "firstclick evaluate --artifact artifact --data data --out quality",
    "firstclick evaluate --artifact artifact --data data --json | jq '.[0].means.firstclick'",
)


def evaluate_command(
    artifact: Annotated[Path, typer.Option(help="Folder of the artifact.")],
    data: Annotated[Path, typer.Option(help="Folder of the data set it was trained on.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for quality.json (every user's figure) and quality.png.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure quality by shots on unseen users, and on unseen items if held out, beside tuned baselines."""
    from engine.artifact import read_manifest
    from engine.evaluation.report import terminal_table
    from engine.evaluation.validation import HEADLINES
    from jobs.evaluate import evaluate, save_reports
    from jobs.publish import means

    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    with hushed(quiet or as_json):
        reports = evaluate(artifact, data)
        metric = HEADLINES[read_manifest(artifact)["config"]["objective"]]
        for report in reports.values():
            for shown in dict.fromkeys((metric, "ndcg@10")):
                tell("quality", terminal_table([report], shown), metric=shown, means=means(report, shown))
        if out is not None:
            panels = {scenario: [report] for scenario, report in reports.items()}
            path = save_reports(panels, out, metric)
            tell("plot", f"plot: {path}", path=str(path))
    if as_json:
        print_json([report.summary() for report in reports.values()])
