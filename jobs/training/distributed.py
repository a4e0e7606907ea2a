"""The outer loop under Ray Train: every worker runs the same loop on its share of each step's users.

The driver counts where the model starts and puts it into the object store; over a large catalogue each worker
counts its part. Workers stream their users. A worker or node that dies costs the steps since the last
checkpoint, for Ray Train starts the workers anew; an error of ours is agreed on by all workers and ends the
run; what kills the driver kills the run, and the same command goes on. Knows nothing of the model; it is put
together in ``engine.learning.setup`` and ``engine.learning.large``.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
import ray.train
from ray.exceptions import RayActorError
from ray.train import (
    Checkpoint,
    CheckpointConfig,
    CheckpointUploadMode,
    FailureConfig,
    Result,
    RunConfig,
    ScalingConfig,
    UserCallback,
)
from ray.train.torch import TorchTrainer, get_device
from ray.util.queue import Empty, Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from torch import nn

from engine.config import Config, TrainConfig
from engine.data.features.feature_encoder import FeatureEncoder
from engine.errors import FirstclickError, TrainingError
from engine.learning.assemble import model_from_state
from engine.learning.experiment import Experiment
from engine.learning.large import Setting, build_large_model
from engine.learning.meta import MetaModel
from engine.learning.outer_step import averaged
from engine.learning.plan import Plan
from engine.learning.setup import build_model, plan_of
from engine.learning.training import PassReport, Training
from engine.learning.workers import gather_from_workers
from jobs.cluster import attach
from jobs.publish import publish
from jobs.training.checkpoints import Identity, identity_of, naming_the_last_good, read_state, resume, save
from jobs.training.own_share import OwnUsers, own_item_features
from jobs.training.spread_rows import leave_part, whole_model_state
from jobs.training.storage import Folder
from jobs.training.stream import Source, StepShares, Stream, Streamed

FAILURES = 3
"""Workers are started anew so many times, not counting nodes that were taken away with notice."""
KEPT = 2
"""Checkpoints kept."""
PARTS = "parts"
"""Below a run's folder: the parts of a trained model whose catalogue is spread, until it is published."""
NOTICE_STEPS = 50
"""Steps between looking whether a node will be taken away; it costs some milliseconds."""


@dataclass(frozen=True)
class Spread:
    """A catalogue that is spread over the workers: each counts its part and leaves it at the end."""

    source: ray.ObjectRef[Source]
    setting: Setting
    item_encoder: FeatureEncoder
    parts: str  # folder where the parts of the trained model are left

    def model(self) -> MetaModel:
        """This worker's part of it, as it starts."""
        source = ray.get(self.source)
        own_x = own_item_features(source.folder, self.item_encoder)
        model = build_large_model(self.setting, OwnUsers(source), own_x)
        pa.default_memory_pool().release_unused()  # of reading pieces
        return model


@dataclass(frozen=True)
class Start:
    """What every worker starts from; in the object store, once a node."""

    model: MetaModel | Spread
    plan: Plan
    identity: Identity
    train: TrainConfig


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
                yield reports.get(timeout=0.5)
            except Empty:
                continue
    finally:
        reports.shutdown()  # workers stop where nobody listens
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
        reports: gets a :class:`PassReport` a pass.
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


def train_worker(args: dict[str, Any]) -> FirstclickError | None:
    """What each worker runs. Errors of ours are returned: trying again would meet them again."""
    try:
        _train(ray.get(args["start"]), args["reports"])
    except TrainingError as error:
        checkpoint = ray.train.get_checkpoint()
        return naming_the_last_good(error, checkpoint and checkpoint.path)
    except FirstclickError as error:
        return error
    return None


def _train(start: Start, reports: Queue | None) -> None:
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    rows = ray.train.get_dataset_shard("train").iter_batches(
        batch_size=None, batch_format="pyarrow", prefetch_batches=1
    )
    model = start.model.model() if isinstance(start.model, Spread) else start.model
    batches = Streamed(iter(rows))
    training = start.plan.training(model.to(get_device()), batches, _averaged, rank, world)
    agreed(lambda: _resume(training, start.identity))
    saving = _Saving(training, start)
    for report in training.run(saving.after_step):
        saving.after_pass(report)
        agreed(partial(_tell, reports if rank == 0 else None, report))
    if isinstance(start.model, Spread):
        leave_part(training.best_part(), Folder.at(start.model.parts))


def agreed(act: Callable[[], object]) -> None:
    """Act, and raise what any worker has raised: the others would wait for it at their next meeting."""
    error = None
    try:
        act()
    except FirstclickError as caught:
        error = caught
    for met in gather_from_workers(error):
        if met is not None:
            raise met


def _resume(training: Training, identity: Identity) -> None:
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is not None:
        resume(training, identity, Folder(checkpoint.filesystem, checkpoint.path))


def _tell(reports: Queue | None, report: PassReport) -> None:
    try:
        if reports is not None:
            reports.put(report)
    except RayActorError:
        raise TrainingError("stopped, for whoever started it is gone") from None


def _rank() -> int:
    return ray.train.get_context().get_world_rank()


def _averaged(model: MetaModel) -> nn.Module:
    return model if ray.train.get_context().get_world_size() == 1 else averaged(model)


class _Saving:
    """Reports to Ray Train: metrics after every pass, and checkpoints when one is due or a node will go.

    All workers report; rank 0 brings the checkpoint, and each its rows of a catalogue that is spread; it is
    uploaded while training goes on. The metrics are sums over all workers already; with the position they say
    where the stream must go on.
    """

    def __init__(self, training: Training, start: Start) -> None:
        self._training, self._start, self._noticed = training, start, False

    def after_step(self) -> None:
        step = self._training.steps_done
        if step % self._start.train.checkpoint_steps == 0 or self._node_will_go(step):
            self._report(True)

    def after_pass(self, report: PassReport) -> None:
        due = report.passes_done % self._start.train.checkpoint_every == 0
        self._report(self._training.done or due, **asdict(report))

    def _node_will_go(self, step: int) -> bool:
        if self._noticed or step % NOTICE_STEPS:
            return False
        self._noticed = ray.train.get_preemption_info() is not None
        return self._noticed

    def _report(self, with_checkpoint: bool, **metrics: float) -> None:
        position = {"passes_done": self._training.passes_done, "steps_done": self._training.steps_done}
        checkpoint = None
        if with_checkpoint:
            self._training.check()
            spread, first = self._training.model.catalogue is not None, _rank() == 0
            checkpoint = self._checkpoint() if spread or first else None
        ray.train.report(
            {**metrics, **position}, checkpoint, checkpoint_upload_mode=CheckpointUploadMode.ASYNC
        )

    def _checkpoint(self) -> Checkpoint:
        folder = tempfile.mkdtemp(prefix="firstclick-")  # Ray Train removes it after the upload
        save(self._training, self._start.identity, Folder.at(folder))
        return Checkpoint.from_directory(folder)


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
