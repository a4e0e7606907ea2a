"""Meta-learns a prior from a prepared data set and publishes it as an artifact.

    python -m jobs.pretrain --data DATASET --out ARTIFACT [--workers N]

With 0 workers the outer loop runs in this process, with n under Ray Train; the result is the same. A run
is known by its name: the same command, given again after an interruption, goes on from its last
checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.artifact import check_target, read_manifest
from engine.config import Config
from engine.data.dataset import Dataset
from engine.errors import ConfigError
from engine.evaluation.validation import MEASURES
from engine.learning.setup import Experiment, build_model, build_training, set_up
from engine.learning.training import PassReport, Training
from jobs.checkpoints import plain_options, resume, save
from jobs.commands.pretrain import pretrain_command
from jobs.publish import publish
from jobs.terminal import console, run_command, show_passes


def pretrain(data: Path, out: Path, config: Config, storage: Path, run: str | None = None) -> dict[str, Any]:
    """Train and publish; returns the artifact's manifest.

    Args:
        data: folder of a prepared data set; every worker must be able to read it.
        out: folder of the artifact.
        config: all options.
        storage: folder of all runs, for checkpoints.
        run: name of the run to start or resume. Default: named after data set and configuration.

    Raises:
        FirstclickError: data, configuration, a folder or training is wrong.
    """
    check_target(out)
    experiment = set_up(Dataset.load(data), config)  # says what is wrong before any worker starts
    run = run_name(experiment) if run is None else _checked(run)
    console.print(f"run [bold]{run}[/] in {storage}: {describe(experiment)}")
    try:
        last = show_passes(
            train(experiment, data, out, storage, run), config.outer.passes, MEASURES[config.objective]
        )
    except KeyboardInterrupt:
        console.print(f"stopped; the same command goes on from the last checkpoint of run {run}")
        raise
    if last is None:
        console.print(f"run {run} was complete; give another --run to train anew")
    elif last.passes_done < config.outer.passes:
        console.print(f"stopped early: quality has not risen for {config.outer.patience} passes")
    return read_manifest(out)


def train(experiment: Experiment, data: Path, out: Path, storage: Path, run: str) -> Iterator[PassReport]:
    """Train where the configuration says, from the last checkpoint on, and publish at the end."""
    if experiment.config.train.workers:
        from jobs.distributed import train_distributed  # importing Ray takes seconds

        return train_distributed(data, out, experiment.config, storage, run)
    return train_here(experiment, out, storage / run)


def train_here(experiment: Experiment, out: Path, folder: Path) -> Iterator[PassReport]:
    """Train in this process, with checkpoints in ``folder``, and publish at the end."""
    training = build_training(experiment, build_model(experiment))
    yield from with_checkpoints(training, experiment, folder)
    publish(experiment, training.best_model(), training.best_quality, out, training.history)


def with_checkpoints(training: Training, experiment: Experiment, folder: Path) -> Iterator[PassReport]:
    """Train from the last checkpoint in ``folder`` on, leaving others there."""
    resume(training, experiment, folder)
    for report in training.run():
        if training.done or report.passes_done % experiment.config.train.checkpoint_every == 0:
            save(training, experiment, folder)
        yield report


def run_name(experiment: Experiment) -> str:
    """A name that changes with the data and the configuration."""
    options = [experiment.dataset.manifest["fingerprint"], plain_options(experiment.config)]
    return f"pretrain-{hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:10]}"


def _checked(run: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", run):
        raise ConfigError(
            f"'{run}' cannot be a run's name", where="--run", fix="Use letters, digits, '.', '_' and '-'."
        )
    return run


def describe(experiment: Experiment) -> str:
    """What will be learned from, for people."""
    dataset = experiment.dataset
    sizes = f"{dataset.n_users:,} users, {dataset.n_items:,} items, {dataset.histories.n_events:,} events"
    return f"{sizes}; quality after {', '.join(map(str, experiment.shots))} events"


def main() -> None:
    run_command(pretrain_command)


if __name__ == "__main__":
    main()
