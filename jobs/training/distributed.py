"""The outer loop under Ray Train, seen from the driver; what a worker does is in ``worker``.

The driver counts where the model starts and puts it into the object store; over a large catalogue each worker
counts its part. Workers stream their users. A worker or node that dies costs the steps since the last
checkpoint, for Ray Train starts the workers anew; what kills the driver kills the run, and the same command
goes on. Knows nothing of the model; it is put together in ``engine.learning.setup`` and
``engine.learning.large``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.train import (
    CheckpointConfig,
    FailureConfig,
    Result,
    RunConfig,
    ScalingConfig,
    UserCallback,
)
from ray.train.torch import TorchTrainer
from ray.util.queue import Empty, Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from engine.config import Config
from engine.errors import FirstclickError, TrainingError
from engine.learning.assemble import model_from_state
from engine.learning.experiment import Experiment
from engine.learning.large import Setting
from engine.learning.meta import MetaModel
from engine.learning.setup import build_model, plan_of
from engine.learning.training import PassReport
from jobs.cluster import attach
from jobs.publish import publish
from jobs.training.checkpoints import identity_of, read_state
from jobs.training.spread_rows import whole_model_state
from jobs.training.storage import Folder
from jobs.training.stream import Source, StepShares, Stream
from jobs.training.worker import Spread, Start, train_worker

FAILURES = 3
"""Workers are started anew so many times, not counting nodes that were taken away with notice."""
KEPT = 2
"""Checkpoints kept."""
PARTS = "parts"
"""Below a run's folder: the parts of a trained model whose catalogue is spread, until it is published."""


def train_distributed(
    experiment: Experiment,
    data: Path,
    out: Path | None,
    storage: str | Path,
    run: str,
    model: MetaModel | None = None,
) -> Iterator[PassReport]:
    """Train on a cluster (or a local one, where none is running), yielding a report a pass; then publish.

    Args:
        out: folder of the artifact; None: nothing is published.
        model: where to start; None: it is counted.
    """
    attach()
    reports = _queue()
    parts = Folder.at(location(storage, run, PARTS))
    parts.clear()
    if not experiment.large and model is None:
        model = build_model(experiment)
    fit = _Fit(build_trainer(experiment, model, data, storage, run, reports))
    fit.start()
    try:
        while fit.is_alive() or not reports.empty():
            try:
                yield PassReport(**reports.get(timeout=0.5))
            except Empty:
                continue
    finally:
        reports.shutdown()  # workers stop where nobody listens
        fit.join()
    state = trained(fit.result())
    if out is not None:
        best = state["best"] if model is not None else whole_model_state(parts)
        history = [PassReport(**report) for report in state["history"]]
        publish(experiment, model_from_state(best, experiment.config), state["best_quality"], out, history)
    parts.clear()


def _queue() -> Queue:
    """On the driver's own node: the loss of another must not take the reports with it."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})


def build_trainer(
    experiment: Experiment,
    model: MetaModel | None,
    data: Path,
    storage: str | Path,
    run: str,
    reports: Queue | None = None,
    callbacks: Sequence[UserCallback] = (),
) -> TorchTrainer:
    """The Ray Train run of one configuration; see :func:`trained` for what ``fit()`` returns.

    Args:
        model: where to start; None where the catalogue is large: every worker counts its part.
        data: folder of the data set; every node must be able to read it.
        storage: folder or URI of all runs; a run of this name there is resumed.
        reports: gets the fields of a :class:`PassReport` a pass.
        callbacks: Ray Train's.
    """
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")  # how soon a failure is seen
    config, source = experiment.config, Source.of(experiment, data)
    shared_source = ray.put(source)
    start = model or Spread(
        shared_source, Setting.of(experiment), experiment.item_encoder, location(storage, run, PARTS)
    )
    shared = Start(start, plan_of(experiment), identity_of(experiment), config.train)
    return TorchTrainer(
        train_worker,
        train_loop_config={"start": ray.put(shared), "reports": reports},
        datasets={"train": Stream(source, location(storage, run))},
        dataset_config=StepShares(shared_source),
        scaling_config=scaling(config),
        run_config=RunConfig(
            name=run,
            storage_path=location(storage),
            failure_config=FailureConfig(max_failures=FAILURES),
            checkpoint_config=CheckpointConfig(num_to_keep=KEPT),
            callbacks=list(callbacks),
        ),
    )


def scaling(config: Config) -> ScalingConfig:
    """So many workers; two numbers: as many as there is room for, from the one to the other."""
    return ScalingConfig(num_workers=config.train.workers, use_gpu=config.train.use_gpu)


def location(storage: str | Path, *below: str) -> str:
    """A URI as it is, a local path in full, for Ray."""
    if "://" in str(storage):
        return "/".join([str(storage).rstrip("/"), *below])
    return str(Path(storage, *below).resolve())


def trained(result: Result) -> dict[str, Any]:
    """The last state of a run, with the best weights, their quality and how it went.

    Raises:
        FirstclickError: what its workers have agreed on to be wrong.
    """
    if isinstance(result.return_value, FirstclickError):
        raise result.return_value
    assert result.checkpoint is not None, "every run that ends well ends with a checkpoint"
    state = read_state(Folder(result.checkpoint.filesystem, result.checkpoint.path))
    assert state is not None
    return state


class _Fit(threading.Thread):
    """``trainer.fit()`` beside the driver's progress bar."""

    def __init__(self, trainer: TorchTrainer) -> None:
        super().__init__(daemon=True)
        self._trainer = trainer
        self._result: Result | None = None
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._result = self._trainer.fit()
        except Exception as error:
            self._error = error

    def result(self) -> Result:
        self.join()
        if self._result is None:
            raise TrainingError(
                f"Ray Train gave up: {self._error}",
                fix="See Ray's logs; the same command goes on from the last checkpoint.",
            ) from self._error
        return self._result
