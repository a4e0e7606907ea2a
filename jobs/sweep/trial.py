"""One trial of a sweep: pretraining with sampled options, pass by pass as Ray Tune asks; publishes nothing.

With 0 workers it is pretrain's loop in the trial's own process, with n the same ``build_trainer(config)
.fit()``. (Ray Train's local mode would be both in one, but Ray 2.60 refuses its calls inside a trial.) A
trial is a run of its own name: begun again, it goes on from its last checkpoint; stopped, it waits for its
workers to end. Trials share the data set, and what is counted from it, through the object store. Knows
nothing of searchers or tables.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
from ray import ObjectRef
from ray.actor import ActorHandle
from ray.tune import Trainable

from engine.config import Config
from engine.data.dataset import Dataset
from engine.errors import TrainingError
from engine.learning.experiment import set_up
from engine.learning.setup import Counted, build_model, count, counted_by
from engine.learning.training import PassReport
from jobs.pretrain import train
from jobs.search_space import MUTABLE, Search
from jobs.training.checkpoints import STATE, adopt, identity_of, standing
from jobs.training.storage import Folder

KEPT = 8
"""Counts kept in the object store: where more differ, the oldest are counted again."""


@dataclass(frozen=True)
class Sweep:
    """What all trials have in common."""

    data: Path
    runs: Path  # folder of the trials' checkpoints
    search: Search
    base: Config
    dataset: ObjectRef[Dataset]
    counts: ActorHandle


class Counts:
    """What trials start from, counted once for all that start alike. Lives in an actor."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._known: dict[str, ObjectRef[Counted]] = {}

    def of(self, config: Config) -> list[ObjectRef[Counted]]:
        """A reference: in a list, or Ray would hand over what it stands for."""
        options = counted_by(config)
        key = options.model_dump_json()
        if key not in self._known:
            self._known[key] = ray.put(count(set_up(self._dataset, options)))
            if len(self._known) > KEPT:
                del self._known[next(iter(self._known))]
        return [self._known[key]]


class Trial(Trainable):
    """What Ray Tune runs: a step is a pass; one more says that the trial is finished."""

    def setup(self, config: dict[str, Any], sweep: Sweep | None = None) -> None:
        """Nothing is done before the first step: a checkpoint may have to be loaded first."""
        assert sweep is not None, "tune.with_parameters brings it"
        self._sweep = sweep
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """This process goes on with another trial, or with other rates."""
        self._config = self._sweep.search.config(self._sweep.base, new_config)
        self._folder = self._sweep.runs / self.trial_id
        self._reports = self._train()
        return True

    def step(self) -> dict[str, Any]:
        try:
            report = next(self._reports, None)
        except TrainingError as error:  # others may do better; the same options would meet it again
            lost = -float("inf")
            return {"best_quality": lost, "quality": lost, "failure": str(error), "done": True}
        return asdict(report) if report else {**standing(self._folder), "finished": True, "done": True}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """What others may go on from: the run's own checkpoint."""
        for path in self._folder.glob(STATE):
            shutil.copy(path, checkpoint_dir)

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Where the scheduler lets this trial go on from another one, at other rates."""
        experiment = set_up(ray.get(self._sweep.dataset), self._config)
        target = Folder.at(self._folder)
        adopt(Folder.at(checkpoint), identity_of(experiment), target, but=MUTABLE)

    def cleanup(self) -> None:
        """Stopped: whoever trains for this process must not outlive it."""
        self._reports.close()

    def _train(self) -> Generator[PassReport, None, None]:
        sweep, model = self._sweep, None
        experiment = set_up(ray.get(sweep.dataset), self._config)
        if not experiment.large:  # of a large catalogue every worker counts its part
            (counted,) = ray.get(sweep.counts.of.remote(self._config))
            model = build_model(experiment, ray.get(counted))
        yield from train(experiment, sweep.data, None, sweep.runs, self.trial_id, model)
