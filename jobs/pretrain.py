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
from engine.config import Config, flat
from engine.data.dataset import Dataset
from engine.errors import ConfigError, TrainingError
from engine.evaluation.validation import MEASURES
from engine.folders import is_free
from engine.learning.experiment import Experiment, set_up
from engine.learning.meta import MetaModel
from engine.learning.setup import build_model, build_training
from engine.learning.training import PassReport
from jobs.commands.pretrain import pretrain_command
from jobs.publish import publish
from jobs.terminal import run_command, show_passes, tell
from jobs.training.checkpoints import STATE, identity_of, naming_the_last_good, plain_options, resume, save
from jobs.training.metrics import recorded
from jobs.training.storage import Folder


def pretrain(
    data: Path,
    out: Path,
    config: Config,
    storage: str | Path,
    run: str | None = None,
    replace: bool = False,
) -> dict[str, Any]:
    """Train and publish; returns the artifact's manifest.

    Args:
        data: folder of a prepared data set; every worker must be able to read it.
        out: folder of the artifact.
        config: all options.
        storage: folder or URI (s3:// ...) of all runs, for checkpoints.
        run: name of the run to start or resume. Default: named after data set and configuration.
        replace: whether ``out`` may hold another model, which then goes.

    Raises:
        FirstclickError: data, configuration, a folder or training is wrong.
    """
    check_target(out)
    experiment = set_up(Dataset.load(data), config)  # says what is wrong before any worker starts
    if not replace:
        keep_another_model(out, experiment)
    run = run_name(experiment) if run is None else _checked(run)
    text = f"run [bold]{run}[/] in {storage}: {describe(experiment)}"
    tell("start", text, run=run, storage=str(storage), about=describe(experiment))
    try:
        reports = train(experiment, data, out, storage, run)
        written = recorded(reports, Folder.at(storage, run, "tensorboard"), run)
        last = show_passes(written, config.outer.passes, MEASURES[config.objective])
    except KeyboardInterrupt:
        tell("stopped", f"stopped; the same command goes on from the last checkpoint of run {run}", run=run)
        raise
    if last is None:
        tell("complete", f"run {run} was complete; give another --run to train anew", run=run)
    elif last.passes_done < config.outer.passes:
        passes = config.outer.patience
        tell("early", f"stopped early: quality has not risen for {passes} passes", run=run, passes=passes)
    return read_manifest(out)


def train(
    experiment: Experiment,
    data: Path,
    out: Path | None,
    storage: str | Path,
    run: str,
    model: MetaModel | None = None,
) -> Iterator[PassReport]:
    """Train where the configuration says, from the last checkpoint of the run on, and publish at the end.

    Args:
        out: folder of the artifact; None: nothing is published.
        model: where to start; None: it is counted.
    """
    if experiment.config.train.workers:
        from jobs.training.distributed import train_distributed  # importing Ray takes seconds

        return train_distributed(experiment, data, out, storage, run, model)
    return train_here(experiment, out, Folder.at(storage, run), model)


def train_here(
    experiment: Experiment, out: Path | None, folder: Folder, model: MetaModel | None = None
) -> Iterator[PassReport]:
    """Train in this process, with checkpoints in ``folder``."""
    training = build_training(experiment, build_model(experiment) if model is None else model)
    identity, options = identity_of(experiment), experiment.config.train
    saved = resume(training, identity, folder)

    def keep() -> None:
        nonlocal saved
        training.check()
        save(training, identity, folder)
        saved = True

    def after_step() -> None:
        if training.steps_done % options.checkpoint_steps == 0:
            keep()

    try:
        for report in training.run(after_step):
            if training.done or report.passes_done % options.checkpoint_every == 0:
                keep()
            yield report
    except TrainingError as error:
        raise naming_the_last_good(error, f"{folder.path}/{STATE}" if saved else None) from None
    if out is not None:
        publish(experiment, training.best_model(), training.best_quality, out, training.history)


def keep_another_model(out: Path, experiment: Experiment) -> None:
    """Raise ConfigError where a model of other data or options stands; more passes go on from it."""
    if is_free(out):
        return
    there, ours = read_manifest(out), plain_options(experiment.config)
    theirs = {key: json.dumps(value) for key, value in flat(there["config"]).items()}
    if there["config"]["outer"]["passes"] < experiment.config.outer.passes:
        theirs["outer.passes"] = ours["outer.passes"]
    differ = [f"{key} was {theirs.get(key)}" for key, value in ours.items() if theirs.get(key) != value]
    if there["dataset"]["fingerprint"] != experiment.dataset.manifest["fingerprint"]:
        differ.insert(0, "the data were others")
    if differ:
        more = f" and {len(differ) - 2} more" if len(differ) > 2 else ""
        raise ConfigError(
            f"another model stands there: {', '.join(differ[:2])}{more}",
            where=f"{out}, made {there['created_at'][:16]}",
            fix="Name another folder with --out, or say --replace.",
        )


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
