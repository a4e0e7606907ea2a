"""``firstclick tune``: options and what is printed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.terminal import AsJson, Quiet, console, examples, hushed, print_json

if TYPE_CHECKING:  # brings Ray
    from jobs.sweep.board import Row

EXAMPLES = examples(
    "firstclick tune --data data --search tune_configs/search/smoke.toml --out sweep",
    "firstclick tune --data data --search tune_configs/search/smoke.toml --out sweep --resume",
)


def tune_command(
    data: Annotated[Path, typer.Option(help="Folder of the prepared data set.")],
    search: Annotated[
        Path, typer.Option(help="TOML file of the search, e.g. tune_configs/search/smoke.toml.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the sweep and its results.")],
    config: Annotated[Path | None, typer.Option(help="TOML file of all other options.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override one of them: section.key=value. Repeatable.")
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Instead of the search file's number.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Of a trial. 0: its own process; n: Ray Train workers.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted sweep.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Search over options and publish the best trial's model as an artifact."""
    from engine.config import load_config

    overrides = [*(set_ or []), *([] if workers is None else [f"train.workers={workers}"])]
    options = load_config(config, overrides)  # before anything slow is imported: a typo is told at once
    from engine.artifact import read_manifest
    from jobs.search_space import read_search
    from jobs.tune import sweep

    asked = read_search(search)
    asked = asked if trials is None else asked.model_copy(update={"trials": trials})
    with hushed(quiet or as_json):
        trials_done = sweep(data, asked, out, options, resume)
        version = read_manifest(out / "artifact")["version"]
        places = f"options [bold]{out / 'best.toml'}[/], artifact [bold]{out / 'artifact'}[/]"
        console.print(f"{places}, version {version}")
    if as_json:
        print_json({"artifact": str(out / "artifact"), "version": version, **_told(trials_done)})


def _told(rows: Sequence[Row]) -> dict[str, Any]:
    trials = [
        {"run": row.run, "state": row.state, "options": row.options, "passes": row.passes}
        | {"quality": row.quality if row.counts else None}
        for row in rows
    ]
    return {"best": trials[0], "trials": trials}
