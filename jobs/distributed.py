"""The outer loop under Ray Train: every worker runs the same loop on its share of each step's users.

Knows nothing of the model; what is trained is put together in ``engine.learning.setup``.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray import ObjectRef
from ray.train import Checkpoint, CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, get_device
from ray.util.queue import Empty, Queue
from torch import nn

from engine.config import Config, to_dict
from engine.data.dataset import Dataset
from engine.errors import FirstclickError, TrainingError
from engine.learning.meta import MetaModel
from engine.learning.setup import Counted, Experiment, build_model, build_training, set_up
from engine.learning.training import PassReport, Training
from engine.learning.workers import averaged
from jobs.checkpoints import resume, save
from jobs.cluster import attach
from jobs.publish import publish


@dataclass(frozen=True)
class Shared:
    """What many runs on one cluster have in common, in its object store."""

    dataset: ObjectRef[Dataset]
    counted: ObjectRef[Counted]


def train_distributed(
    data: Path, out: Path | None, config: Config, storage: Path, run: str, shared: Shared | None = None
) -> Iterator[PassReport]:
    """Train on a cluster (or a local one, where none is running), yielding a report a pass.

    The driver holds no model: rank 0 publishes the artifact, unless ``out`` is None. A worker that fails is
    restarted from the last checkpoint, up to three times. What is ``shared`` is not read and counted again.
    """
    attach()
    reports = Queue(actor_options={"num_cpus": 0})
    trainer = build_trainer(data, out, config, storage, run, reports, shared)
    fit = _Fit(trainer)
    fit.start()
    try:
        while fit.is_alive() or not reports.empty():
            try:
                message = reports.get(timeout=0.5)
            except Empty:
                continue
            if isinstance(message, FirstclickError):
                fit.join(timeout=30)  # the other workers meet the same error and end, too
                raise message
            yield message
    finally:
        reports.shutdown()
    fit.result()


def build_trainer(
    data: Path,
    out: Path | None,
    config: Config,
    storage: Path,
    run: str,
    reports: Queue,
    shared: Shared | None = None,
) -> TorchTrainer:
    """The Ray Train run of one configuration."""
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")  # report() waits for it
    return TorchTrainer(
        train_worker,
        train_loop_config={
            "data": str(data.resolve()),
            "out": out and str(out.resolve()),
            "config": to_dict(config),
            "reports": reports,
            "shared": shared,
        },
        scaling_config=ScalingConfig(num_workers=config.train.workers, use_gpu=config.train.use_gpu),
        run_config=RunConfig(
            name=run,
            storage_path=str(storage.resolve()),
            failure_config=FailureConfig(max_failures=3),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
        ),
    )


def train_worker(args: dict[str, Any]) -> None:
    """What each worker runs. Errors of ours go to the driver: trying again would meet them again."""
    try:
        _train(args)
    except FirstclickError as error:
        args["reports"].put(error)


def _train(args: dict[str, Any]) -> None:
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    config = Config(**args["config"])
    shared: Shared | None = args["shared"]
    experiment = set_up(ray.get(shared.dataset) if shared else Dataset.load(Path(args["data"])), config)
    model = build_model(experiment, ray.get(shared.counted) if shared else None)
    training = build_training(experiment, model.to(get_device()), _averaged, rank, world)
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            resume(training, experiment, Path(folder))
    for report in training.run():
        if rank == 0:
            args["reports"].put(report)
        if training.done or report.passes_done % config.train.checkpoint_every == 0:
            _checkpoint(training, experiment, report, rank)
    best = training.best_model()  # all workers bring their rows of it to the first
    if rank == 0 and args["out"]:
        publish(experiment, best.cpu(), training.best_quality, Path(args["out"]), training.history)


def _averaged(model: MetaModel) -> nn.Module:
    return model if ray.train.get_context().get_world_size() == 1 else averaged(model)


def _checkpoint(training: Training, experiment: Experiment, report: PassReport, rank: int) -> None:
    """All workers report; rank 0 brings the checkpoint, and each its rows where the catalogue is spread.

    The metrics are sums over all workers already.
    """
    metrics = asdict(report)
    if rank and training.model.catalogue is None:
        ray.train.report(metrics)
        return
    with tempfile.TemporaryDirectory() as folder:
        save(training, experiment, Path(folder))
        ray.train.report(metrics, checkpoint=Checkpoint.from_directory(folder))


class _Fit(threading.Thread):
    """``trainer.fit()`` beside the driver's progress bar."""

    def __init__(self, trainer: TorchTrainer) -> None:
        super().__init__(daemon=True)
        self._trainer = trainer
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._trainer.fit()
        except Exception as error:
            self._error = error

    def result(self) -> None:
        self.join()
        if self._error is not None:
            raise TrainingError(
                f"Ray Train gave up: {self._error}",
                fix="See Ray's logs; the same command goes on from the last checkpoint.",
            ) from self._error
