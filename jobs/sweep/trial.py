"""One trial of a sweep: pretraining with sampled options, which reports to Ray Tune and publishes nothing.

With 0 workers it is pretrain's loop in the trial's own process, with n the same ``build_trainer(config)
.fit()``. (Ray Train's local mode would be both in one, but Ray 2.60 refuses its calls inside a trial.) A
trial is a run of its own name: begun again, it goes on from its last checkpoint. Trials share the data
set, and what is counted from it, through the object store. Knows nothing of searchers or tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
from ray import ObjectRef, tune
from ray.actor import ActorHandle

from engine.config import Config
from engine.data.dataset import Dataset
from engine.errors import TrainingError
from engine.learning.experiment import Experiment, set_up
from engine.learning.setup import Counted, build_model, count, counted_by
from engine.learning.training import PassReport
from jobs.pretrain import train
from jobs.search_space import MUTABLE, Search
from jobs.training.checkpoints import adopt, identity_of, standing
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

    @property
    def clones(self) -> bool:
        """Whether trials go on from each other."""
        return self.search.scheduler == "pbt"


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


def trial(sampled: dict[str, Any], sweep: Sweep) -> None:
    """What Ray Tune runs: reports each pass, then once more that the trial is finished."""
    config, run = sweep.search.config(sweep.base, sampled), tune.get_context().get_trial_id()
    try:
        for report in _reports(config, run, sweep):
            tune.report(asdict(report), checkpoint=_checkpoint(report, config, sweep.runs / run, sweep))
    except TrainingError as error:  # others may do better; the same options would meet it again
        tune.report({"best_quality": -float("inf"), "quality": -float("inf"), "failure": str(error)})
        return
    tune.report({**standing(sweep.runs / run), "finished": True})


def _reports(config: Config, run: str, sweep: Sweep) -> Iterator[PassReport]:
    experiment = set_up(ray.get(sweep.dataset), config)
    _take_over(experiment, sweep.runs / run)
    model = None
    if not experiment.large:  # of a large catalogue every worker counts its part
        (counted,) = ray.get(sweep.counts.of.remote(config))
        model = build_model(experiment, ray.get(counted))
    return train(experiment, sweep.data, None, sweep.runs, run, model)


def _take_over(experiment: Experiment, folder: Path) -> None:
    """Where the scheduler lets this trial go on from another one, at other rates."""
    if (checkpoint := tune.get_checkpoint()) is not None:
        source = Folder(checkpoint.filesystem, checkpoint.path)
        adopt(source, identity_of(experiment), Folder.at(folder), but=MUTABLE)


def _checkpoint(report: PassReport, config: Config, folder: Path, sweep: Sweep) -> tune.Checkpoint | None:
    """What others may go on from."""
    saved = report.passes_done % config.train.checkpoint_every == 0
    return tune.Checkpoint.from_directory(folder) if sweep.clones and saved else None
