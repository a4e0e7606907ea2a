"""``firstclick pretrain``: options and what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.terminal import AsJson, Quiet, examples, hushed, print_json, tell

EXAMPLES = examples(
    "firstclick pretrain --data data --out artifact",
    "firstclick pretrain --data data --out artifact --config tune_configs/rating.toml --workers 2",
    "firstclick pretrain --data data --out artifact --set items.dim=64 --set outer.passes=20",
)


def complete_key(typed: str) -> list[str]:
    """Configuration keys that begin so, for the shell."""
    from engine.config import known_keys

    return [f"{key}=" for key in known_keys() if key.startswith(typed)]


def pretrain_command(
    data: Annotated[Path, typer.Option(help="Folder of the prepared data set.")],
    out: Annotated[Path, typer.Option(help="Folder to write the artifact to.")],
    config: Annotated[
        Path | None, typer.Option(help="TOML file of options, e.g. tune_configs/base.toml.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Override an option: section.key=value. Repeatable.",
            autocompletion=complete_key,
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="0: in this process; n: Ray Train workers.")
    ] = None,
    storage: Annotated[
        str, typer.Option(help="Folder or URI (s3:// ...) of all runs, for checkpoints.")
    ] = "runs",
    run: Annotated[str | None, typer.Option(help="Name of the run to start or resume.")] = None,
    replace: Annotated[bool, typer.Option(help="Replace a model of other data or options.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Meta-learn a prior over all users and publish it as an artifact."""
    from engine.config import load_config

    overrides = [*(set_ or []), *([] if workers is None else [f"train.workers={workers}"])]
    options = load_config(config, overrides)  # before anything slow is imported: a typo is told at once
    from jobs.pretrain import pretrain

    with hushed(quiet or as_json):
        manifest = pretrain(data, out, options, storage, run, replace)
        text = f"artifact [bold]{out}[/], version {manifest['version']}"
        tell("artifact", text, artifact=str(out), version=manifest["version"], quality=manifest["quality"])
    if as_json:
        print_json(manifest)
