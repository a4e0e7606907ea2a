"""Searches over options: many trials of pretraining, the best of which becomes an artifact.

    python -m jobs.tune --data DATASET --search tune_configs/search/F.toml --out DIR [--resume]

DIR gets best.toml (the best options), artifact (the model they gave), trials.csv, parallel.png and
plane.png; DIR/trials is Ray Tune's folder, which TensorBoard reads, and DIR/runs holds the checkpoints. The
same command with --resume goes on where an interrupted sweep was: finished trials are kept, others go on
from their checkpoints. What a trial does is in ``sweep.trial``, what is searched in ``search_space``, how
trials are chosen in ``sweep.searchers``, how they are shown in ``sweep.board`` and ``sweep.plots``.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import tune

from engine.artifact import check_target
from engine.config import Config
from engine.data.dataset import Dataset
from engine.errors import ConfigError, TrainingError
from engine.evaluation.validation import MEASURES
from engine.learning.experiment import set_up
from jobs.cluster import attach
from jobs.commands.tune import tune_command
from jobs.pretrain import describe, train_here
from jobs.search_space import Search
from jobs.sweep.board import Board, Row, ranked, row_of, table
from jobs.sweep.plots import plane, plot_parallel, plot_plane
from jobs.sweep.results import write_best, write_csv
from jobs.sweep.searchers import at_once, param_space, resources, tune_config
from jobs.sweep.trial import Counts, Sweep, Trial
from jobs.terminal import console, run_command, show_passes
from jobs.training.checkpoints import newest, plain_options

TRIALS, RUNS, WHAT = "trials", "runs", "sweep.json"


def sweep(data: Path, search: Search, out: Path, base: Config, resume: bool = False) -> list[Row]:
    """Run all trials, write what they show and publish the best; returns the trials, the best first.

    Args:
        data: folder of a prepared data set; every worker must be able to read it.
        search: what is searched.
        out: folder of the sweep; every worker must be able to write to it.
        base: all other options.
        resume: go on with the sweep that ``out`` holds.

    Raises:
        FirstclickError: data, search or folder is wrong, or no trial came to an end.
    """
    out = out.resolve()
    check_target(out / "artifact")
    search.check(base)
    base = search.over(base)
    if search.scheduler == "pbt" and base.train.workers:
        raise ConfigError(
            "under Ray Train no trial can go on from another", "scheduler = pbt", "Set train.workers to 0."
        )
    dataset = Dataset.load(data)
    experiment = set_up(dataset, base)  # says what is wrong before any trial starts
    identity = {"search": search.model_dump(mode="json"), "configuration": plain_options(base)}
    _claim(out, {"data set": dataset.manifest["fingerprint"], **identity}, resume)
    with _naming_the_way_on():
        attach()
        console.print(f"{search.trials} trials, {at_once(base)} at once: {describe(experiment)}")
        shared = ray.put(dataset)
        counts = ray.remote(num_cpus=0)(Counts).remote(shared)
        trials = Sweep(data.resolve(), out / RUNS, search, base, shared, counts)
        measure = MEASURES[experiment.config.objective]
        rows = _run(trials, out, measure, resume)
        _publish(rows, trials, out, measure)
        return rows


@contextmanager
def _naming_the_way_on() -> Iterator[None]:
    """Ctrl-C may come at any time."""
    try:
        yield
    except KeyboardInterrupt:
        console.print("stopped; the same command with --resume goes on")
        raise


def _claim(out: Path, what: dict[str, Any], resume: bool) -> None:
    """Make ``out`` the folder of this sweep, or see that it is.

    Raises:
        ConfigError: it holds a sweep that shall not be resumed, or another one.
    """
    path, told = out / WHAT, json.dumps(what, indent=1)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(told, encoding="utf-8")
    elif not resume:
        raise ConfigError("the folder holds a sweep", str(out), "Give --resume to go on, or another --out.")
    else:
        theirs = json.loads(path.read_text(encoding="utf-8"))
        differ = [name for name, value in json.loads(told).items() if value != theirs[name]]
        if differ:
            raise ConfigError(
                f"the sweep to resume has another {' and another '.join(differ)}",
                where=str(out),
                fix="Give what it was started with, or another --out.",
            )


def _run(sweep: Sweep, out: Path, measure: str, resume: bool) -> list[Row]:
    """All trials, the best first."""
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # Ray Tune prints nothing: the board does
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "1")  # else what ended in the last 10 s is forgotten
    logging.getLogger("optuna").setLevel(logging.WARNING)
    trainable = tune.with_resources(tune.with_parameters(Trial, sweep=sweep), resources(sweep.base))
    folder = str(out / TRIALS)
    if resume and tune.Tuner.can_restore(folder):
        tuner = tune.Tuner.restore(
            folder, trainable, resume_errored=True, param_space=param_space(sweep.search)
        )
    else:
        tuner = tune.Tuner(
            trainable,
            param_space=param_space(sweep.search),
            tune_config=tune_config(sweep.search, sweep.base),
            run_config=tune.RunConfig(
                name=TRIALS,
                storage_path=str(out),
                callbacks=[Board(sweep.search.trials, measure)],
                checkpoint_config=tune.CheckpointConfig(num_to_keep=3),
                verbose=0,
            ),
        )
    tuner.fit()
    rows = ranked([row_of(t) for t in tune.ExperimentAnalysis(folder).trials])
    if len(rows) < sweep.search.trials or any(row.state in ("waiting", "running", "paused") for row in rows):
        raise KeyboardInterrupt
    return rows


def _publish(rows: Sequence[Row], sweep: Sweep, out: Path, measure: str) -> None:
    """Write tables and pictures, and the best trial's model: its run, published by this process."""
    space, best = sweep.search.search, rows[0]
    write_csv(rows, out / "trials.csv")
    console.print(table(rows, measure, title=f"{len(rows)} trials"))
    if not best.counts:
        raise TrainingError(f"no trial came to an end: {best.failure}", where=str(out / TRIALS))
    config = sweep.search.config(sweep.base, best.options)
    plot_parallel(rows, space, measure, out / "parallel.png")
    if (keys := plane(space)) is not None:
        plot_plane(rows, space, keys, measure, out / "plane.png")
    origin = (
        f"{sweep.search.about}\n\nThe best of {len(rows)} trials "
        f"({sweep.search.searcher}, {sweep.search.scheduler}) "
        f"on {sweep.data}:\n{measure} {abs(best.quality):.4f} of validation users, run {best.run}.\n\n"
        f"  firstclick pretrain --data {sweep.data} --config {out / 'best.toml'} --out ARTIFACT"
    )
    write_best(config, origin, out / "best.toml")
    experiment = set_up(Dataset.load(sweep.data), config)
    finish = train_here(experiment, out / "artifact", newest(sweep.runs / best.run))  # no step, if it is done
    show_passes(finish, config.outer.passes, measure)


def main() -> None:
    run_command(tune_command)


if __name__ == "__main__":
    main()
