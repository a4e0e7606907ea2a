"""The outer loop: passes over users, early stopping, and a state that can be saved and resumed at any step.

Knows nothing of Ray, files, progress bars or of where users come from.

Shapes: B users of this worker, N catalogue.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.data.episodes import EpisodeRules, draw_episodes
from engine.errors import TrainingError
from engine.learning.batches import Batch, Batches
from engine.learning.descent import Descent
from engine.learning.meta import MetaModel
from engine.learning.noise import Dropout, draw_noise, rows_of
from engine.learning.outer_step import OuterStep
from engine.learning.workers import gather_from_workers, sum_over_workers

MOST_LOSS = 1000.0
"""A pass whose mean loss per query pair is above has diverged, finite or not: chance is below 20."""
NAMED = 20
"""Users named where the loss is not finite."""
POSITION = ("passes_done", "steps_done", "loss", "pairs", "best_quality", "passes_since_best")
"""Where a run is, besides its weights."""


@dataclass(frozen=True)
class Schedule:
    """The outer loop's settings; see ``engine.config.OuterConfig``."""

    seed: int
    passes: int
    patience: int
    dropout: Dropout


@dataclass(frozen=True)
class PassReport:
    """What one pass over the users gave."""

    passes_done: int
    loss: float  # per query pair
    quality: float  # on validation users, higher is better
    best_quality: float
    seconds: float


class Training:
    """One run of the outer loop. Iterate over :meth:`run`; save :meth:`state_dict` after any step.

    Args:
        outer_step: updates the model in place; the best weights are in :attr:`best`.
        batches: this worker's users, step by step.
        rules: how episodes are drawn.
        schedule: the outer loop's settings.
        quality: the model's (sum over users, number of users) on validation users of this worker.
    """

    def __init__(
        self,
        outer_step: OuterStep,
        batches: Batches,
        rules: EpisodeRules,
        schedule: Schedule,
        quality: Callable[[MetaModel], tuple[float, int]],
    ) -> None:
        self.outer_step, self.model, self.optimiser = outer_step, outer_step.model, outer_step.optimiser
        self.batches, self.rules, self.schedule, self.quality = batches, rules, schedule, quality
        self.passes_done, self.best_quality, self.passes_since_best = 0, -math.inf, 0
        self.steps_done, self.loss, self.pairs = 0, 0.0, 0.0  # of the pass under way
        self.best: dict[str, Tensor] = outer_step.weights()
        self.history: list[PassReport] = []

    @property
    def done(self) -> bool:
        return self.passes_done >= self.schedule.passes or self.passes_since_best >= self.schedule.patience

    def run(self, after_step: Callable[[], None] = lambda: None) -> Iterator[PassReport]:
        """Pass over the users until quality no longer improves.

        Args:
            after_step: called after each update, where the state may be saved.

        Raises:
            TrainingError: the loss or the quality is not finite, or the loss is beyond all reason.
        """
        while not self.done:
            started = time.perf_counter()
            loss, quality = self._one_pass(after_step), self._validate()
            self.passes_done, self.steps_done, self.loss, self.pairs = self.passes_done + 1, 0, 0.0, 0.0
            seconds = time.perf_counter() - started
            self.history.append(PassReport(self.passes_done, loss, quality, self.best_quality, seconds))
            yield self.history[-1]

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs to end as an undisturbed one: chance is a function of the position."""
        return {
            **self.outer_step.state_dict(),
            "best": self.best,
            "history": [asdict(report) for report in self.history],
            **{name: getattr(self, name) for name in POSITION},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.outer_step.load_state_dict(state)
        self.best = state["best"]
        self.history = [PassReport(**report) for report in state["history"]]
        for name in POSITION:
            setattr(self, name, state[name])

    def check(self) -> None:
        """Raise TrainingError if weights are not finite: such a state is not worth going on from."""
        broken = sum(not p.isfinite().all() for p in self.model.parameters())
        if sum_over_workers(self.outer_step.device, float(broken))[0]:
            raise self._diverged("weights are not finite")

    def best_model(self) -> MetaModel:
        """The model as it was after its best pass."""
        return self.outer_step.model_of(self.best)

    def best_part(self) -> dict[str, Tensor]:
        """What this worker knows of it, where the catalogue is spread over several."""
        return self.outer_step.part_of(self.best)

    def _one_pass(self, after_step: Callable[[], None]) -> float:
        for batch in self.batches.steps(self.passes_done, self.steps_done):
            loss, pairs = self._step(batch)
            self.loss, self.pairs, self.steps_done = self.loss + loss, self.pairs + pairs, self.steps_done + 1
            after_step()
        loss = self.loss / max(self.pairs, 1.0)
        if loss > MOST_LOSS:
            raise self._diverged(f"the loss is {loss:.3g}")
        return loss

    def _step(self, batch: Batch) -> tuple[float, float]:
        """One update from episodes of a step's users, of which this worker takes its share."""
        seed, (n, dim) = (self.schedule.seed, self.passes_done), self.model.items.spectral_ND.shape
        rows, n_features = np.arange(len(batch.users)), batch.user_x.shape[1]
        episodes = draw_episodes(batch.histories, rows, batch.user_x, self.rules, seed, batch.users)
        step = (*seed, self.steps_done)
        noise = draw_noise(self.schedule.dropout, step, batch.step_users, n_features, n, dim)
        loss, pairs = self.outer_step(episodes, batch.fold, rows_of(noise, batch.share))
        if not math.isfinite(loss):
            where = f", step {self.steps_done + 1}, users {_named(batch)}"
            raise self._diverged("the loss is not finite", where)
        return loss, pairs

    def _validate(self) -> float:
        self.outer_step.settle()
        try:
            own = self.quality(self.model)
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined] # a precision is not positive definite
            own = (math.nan, 0)
        total, users = sum_over_workers(self.outer_step.device, *own)
        if not math.isfinite(total):
            raise self._diverged("scores of validation users are not finite")
        quality = total / max(users, 1.0)
        self.passes_since_best += 1
        if quality > self.best_quality:
            self.best_quality, self.passes_since_best = quality, 0
            self.best = {}  # the old copy goes before the new one is made
            self.best = self.outer_step.weights()
        return quality

    def _diverged(self, what: str, where: str = "") -> TrainingError:
        rate = "inner.inner_lr" if isinstance(self.model.inner, Descent) else "outer.outer_lr"
        return TrainingError(
            f"training diverged: {what}",
            where=f"pass {self.passes_done + 1}{where}",
            fix=f"Lower {rate}, or look at the users' events and features.",
        )


def _named(batch: Batch) -> str:
    """The users of a step, of all workers."""
    ids = [user_id for worker in gather_from_workers(list(batch.user_ids)) for user_id in worker]
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return f"[{', '.join(ids[:NAMED])}]{more}"
