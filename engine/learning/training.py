"""The outer loop: passes over users, early stopping, and a state that can be saved and resumed.

Knows nothing of Ray, files or progress bars. Under torch.distributed each worker takes every n-th
user of a step; the result is that of one worker.

Shapes: B users, N catalogue.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.data.episodes import EpisodeRules, draw_episodes
from engine.data.histories import Histories
from engine.errors import TrainingError
from engine.learning.descent import Descent
from engine.learning.folds import FOLDS, steps_of
from engine.learning.meta import MetaModel
from engine.learning.noise import Dropout, draw_noise, rows_of
from engine.learning.outer_step import OuterStep
from engine.learning.workers import rank, sum_over_workers, world

MOST_LOSS = 1000.0
"""A pass whose mean loss per query pair is above has diverged, finite or not: chance is below 20."""
NAMED = 5
"""Users named where the loss is not finite."""


@dataclass(frozen=True)
class Schedule:
    """The outer loop's settings; see ``engine.config.OuterConfig``."""

    seed: int
    passes: int
    users_per_step: int
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
    """One run of the outer loop. Iterate over :meth:`run`; save :meth:`state_dict` between passes.

    Args:
        outer_step: updates the model in place; the best weights are in :attr:`best`.
        histories, user_x: the training users.
        rules: how episodes are drawn.
        schedule: the outer loop's settings.
        quality: the model's (sum over users, number of users) on validation users of this worker.
    """

    def __init__(
        self,
        outer_step: OuterStep,
        histories: Histories,
        user_x: NDArray[np.float32],
        rules: EpisodeRules,
        schedule: Schedule,
        quality: Callable[[MetaModel], tuple[float, int]],
    ) -> None:
        self.outer_step, self.model, self.optimiser = outer_step, outer_step.model, outer_step.optimiser
        self.histories, self.user_x, self.rules = histories, user_x, rules
        self.schedule, self.quality = schedule, quality
        self.passes_done, self.best_quality, self.passes_since_best = 0, -math.inf, 0
        self.best: dict[str, Tensor] = outer_step.weights()
        self.history: list[PassReport] = []

    @property
    def done(self) -> bool:
        return self.passes_done >= self.schedule.passes or self.passes_since_best >= self.schedule.patience

    def run(self) -> Iterator[PassReport]:
        """Pass over the users until quality no longer improves.

        Raises:
            TrainingError: the loss or the quality is not finite, or the loss is beyond all reason.
        """
        while not self.done:
            started = time.perf_counter()
            try:
                loss, quality = self._one_pass(), self._validate()
            except torch.linalg.LinAlgError:  # type: ignore[attr-defined] # A0 is not positive definite
                raise self._diverged("the prior's precision is not positive") from None
            self.passes_done += 1
            seconds = time.perf_counter() - started
            self.history.append(PassReport(self.passes_done, loss, quality, self.best_quality, seconds))
            yield self.history[-1]

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs to end as an undisturbed one."""
        return {
            **self.outer_step.state_dict(),
            "best": self.best,
            "passes_done": self.passes_done,
            "best_quality": self.best_quality,
            "passes_since_best": self.passes_since_best,
            "history": [asdict(report) for report in self.history],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.outer_step.load_state_dict(state)
        self.best = state["best"]
        self.passes_done = state["passes_done"]
        self.best_quality = state["best_quality"]
        self.passes_since_best = state["passes_since_best"]
        self.history = [PassReport(**report) for report in state.get("history", ())]

    def best_model(self) -> MetaModel:
        """The model as it was after its best pass."""
        return self.outer_step.model_of(self.best)

    def _one_pass(self) -> float:
        seed, size = self.schedule.seed, self.schedule.users_per_step
        rng = np.random.default_rng([seed, self.passes_done])
        steps = steps_of(rng.permutation(self.histories.n_users), size, rng)
        loss = pairs = 0.0
        for step, users in enumerate(steps):
            step_loss, step_pairs = self._step(users, step)
            loss, pairs = loss + step_loss, pairs + step_pairs
        loss /= max(pairs, 1.0)
        if loss > MOST_LOSS:
            raise self._diverged(f"the loss is {loss:.3g}")
        return loss

    def _step(self, users: NDArray[np.int64], step: int) -> tuple[float, float]:
        """One update from episodes of users of one fold, of which this worker takes its share."""
        mine = slice(rank(), None, world())
        seed = (self.schedule.seed, self.passes_done)
        episodes = draw_episodes(self.histories, users[mine], self.user_x, self.rules, seed)
        n, dim = self.model.items.spectral_ND.shape
        noise = draw_noise(self.schedule.dropout, (*seed, step), len(users), self.user_x.shape[1], n, dim)
        loss, pairs = self.outer_step(episodes, int(users[0]) % FOLDS, rows_of(noise, mine))
        if not math.isfinite(loss):
            more = ", ..." if len(users) > NAMED else ""
            named = ", ".join(map(str, users[:NAMED].tolist())) + more
            raise self._diverged("the loss is not finite", f", step {step + 1}, training users [{named}]")
        return loss, pairs

    def _validate(self) -> float:
        self.outer_step.settle()
        total, users = sum_over_workers(self.outer_step.device, *self.quality(self.model))
        if not math.isfinite(total):
            raise self._diverged("scores of validation users are not finite")
        quality = total / max(users, 1.0)
        self.passes_since_best += 1
        if quality > self.best_quality:
            self.best_quality, self.passes_since_best = quality, 0
            self.best = self.outer_step.weights()
        return quality

    def _diverged(self, what: str, where: str = "") -> TrainingError:
        rate = "inner.inner_lr" if isinstance(self.model.inner, Descent) else "outer.outer_lr"
        return TrainingError(
            f"training diverged: {what}",
            where=f"pass {self.passes_done + 1}{where}",
            fix=f"Lower {rate}, or look at the users' events and features.",
        )
