"""What each worker of Ray Train runs: the outer loop on its share of each step's users.

It goes on from the run's last checkpoint, reports passes to whoever listens, and stops where nobody does. An
error of ours is agreed on by all workers and ends the run. Knows nothing of who starts it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import ray
import ray.train
from ray.exceptions import RayActorError
from ray.train import Checkpoint, CheckpointUploadMode
from ray.train.torch import get_device
from ray.util.queue import Queue

from engine.config import TrainConfig
from engine.data.features.feature_encoder import FeatureEncoder
from engine.errors import FirstclickError, TrainingError
from engine.learning.large import Setting, build_large_model
from engine.learning.meta import MetaModel
from engine.learning.plan import Plan
from engine.learning.training import PassReport, Training
from engine.learning.workers import gather_from_workers
from jobs.training.checkpoints import Identity, naming_the_last_good, resume, save
from jobs.training.own_share import OwnUsers, own_item_features
from jobs.training.spread_rows import leave_part
from jobs.training.storage import Folder
from jobs.training.stream import Source, Streamed

NOTICE_STEPS = 50
"""Within a pass, steps between looking whether a node will go and whether anybody listens: milliseconds."""


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
    training = start.plan.training(model.to(get_device()), batches, rank, world)
    agreed(lambda: _resume(training, start.identity))
    listener = reports if rank == 0 else None
    saving = _Saving(training, start)

    def after_step() -> None:
        saving.after_step()
        if training.steps_done % NOTICE_STEPS == 0:
            agreed(partial(_tell, listener))

    for report in training.run(after_step):
        saving.after_pass(report)
        agreed(partial(_tell, listener, report))
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


def _tell(listener: Queue | None, report: PassReport | None = None) -> None:
    """Tell of a pass, or see whether anybody would listen."""
    try:
        if listener is not None and report is not None:
            listener.put(asdict(report))  # plain: the queue's process need not bring torch
        elif listener is not None:
            listener.qsize()
    except RayActorError:
        raise TrainingError("stopped, for whoever started it is gone") from None


def _rank() -> int:
    return ray.train.get_context().get_world_rank()


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
        due = step % self._start.train.checkpoint_steps == 0
        if due or (step % NOTICE_STEPS == 0 and self._node_will_go()):
            self._report(True)

    def after_pass(self, report: PassReport) -> None:
        due = report.passes_done % self._start.train.checkpoint_every == 0
        self._report(self._training.done or due or self._node_will_go(), **asdict(report))

    def _node_will_go(self) -> bool:
        """Whether it has become known that a worker's node is to be taken away; once a start."""
        if self._noticed:
            return False
        told = ray.train.get_preemption_info() is not None
        self._noticed = any(gather_from_workers(told))  # all report at the same step, or none
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
