"""One step of the outer loop: episodes in, the prior updated.

Knows nothing of passes, of how episodes are drawn or of validation.

Shapes: B users of this worker.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.data.episodes import Episodes
from engine.learning.meta import MetaModel, Noise, Rule
from engine.learning.optimiser import load_moments
from engine.learning.workers import sum_gradients


class OuterStep:
    """Descends the outer loss of all workers' episodes together.

    Args:
        model: updated in place.
        optimiser: over the model's parameters.
        rule, population_weight: see :meth:`MetaModel.forward`.
    """

    def __init__(
        self,
        model: MetaModel,
        optimiser: torch.optim.Optimizer,
        rule: Rule,
        population_weight: float,
    ) -> None:
        self.model, self.optimiser = model, optimiser
        self.rule, self.population_weight = rule, population_weight

    @property
    def device(self) -> torch.device:
        return self.model.items.spectral_ND.device

    def __call__(self, episodes: Episodes, fold: int, noise: Noise) -> tuple[float, float]:
        """Update, unless the loss of any worker is not finite.

        Args:
            episodes: this worker's (B), of one ``fold``.

        Returns: the loss and the number of query pairs, summed over all workers. A solve that fails counts
        as a loss that is not a number, so that the other workers learn of it instead of waiting.
        """
        self.optimiser.zero_grad()
        try:
            loss = self._loss(episodes, fold, noise)
            loss.backward()  # type: ignore[no-untyped-call]
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined] # a precision is not positive definite
            loss = torch.tensor(math.nan)
        learned = [p for p in self.model.parameters() if p.requires_grad]
        total, pairs = sum_gradients(learned, loss.item(), len(episodes.query_item))
        if math.isfinite(total):
            for p in learned:
                if p.grad is not None:
                    p.grad /= max(pairs, 1.0)
            self._update(max(pairs, 1.0))
        return total, pairs

    def settle(self) -> None:
        """Before the model is looked at as a whole."""

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        load_moments(self.optimiser, state["optimiser"])

    def weights(self) -> dict[str, Tensor]:
        """A copy of what is learned."""
        return copy.deepcopy(self.model.state_dict())

    def part_of(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What this worker knows of a model with such weights: here all of it."""
        return dict(weights)

    def model_of(self, weights: Mapping[str, Tensor]) -> MetaModel:
        """A model with such weights."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(weights)
        return model

    def _loss(self, episodes: Episodes, fold: int, noise: Noise) -> Tensor:
        """Summed over this worker's query pairs."""
        asked, noise = episodes.to(self.device), noise.to(self.device)
        loss: Tensor = self.model(asked, fold, noise, self.rule, self.population_weight)
        return loss

    def _update(self, pairs: float) -> None:
        """By the gradients of the mean over the query ``pairs`` of all workers."""
        self.optimiser.step()
