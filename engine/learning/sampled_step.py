"""One step of the outer loop over a large catalogue: it touches the items that it needs, not all.

Beside `OuterStep`, which sees every item. Knows nothing of passes or of how episodes are drawn.

Shapes: M items of the step.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.data.episodes import Episodes
from engine.learning.assemble import ITEM_BUFFERS
from engine.learning.catalogue import Catalogue, whole_state
from engine.learning.items import ItemRepresentation
from engine.learning.meta import MetaModel, Noise
from engine.learning.noise import hidden_rows
from engine.learning.outer_step import OuterStep
from engine.learning.small_catalogue import SmallCatalogue, in_terms_of, needed, weights


class SampledStep(OuterStep):
    """Takes negatives by chance and rows from all workers; see ``negatives`` and ``catalogue``.

    Args:
        catalogue: updated in place.
        hidden_share: of items that show only their features.
        others: those of `OuterStep`.
    """

    def __init__(self, catalogue: Catalogue, hidden_share: float, *others: Any) -> None:
        super().__init__(*others)
        self.catalogue, self.hidden_share = catalogue, hidden_share

    def _loss(self, episodes: Episodes, fold: int, noise: Noise) -> Tensor:
        drawn, chance = self.catalogue.negatives(self.catalogue.learned.steps)
        row_M = needed(episodes, self.model.objective.predicts == "value", drawn)
        self._loan = loan = self.catalogue.lend(row_M)
        small = SmallCatalogue(row_M, loan.rows, weights(row_M, drawn, chance), self.catalogue.n_items)
        seed = (self.catalogue.negatives.seed, self.catalogue.learned.steps)
        noise = noise._replace(hidden_N=hidden_rows(row_M, self.hidden_share, seed))
        asked = in_terms_of(row_M, episodes)
        loss: Tensor = self.model(asked, fold, noise, self.rule, self.population_weight, small)
        return loss

    def _update(self, pairs: float) -> None:
        super()._update(pairs)
        if self._loan.learned_M.grad is not None:
            self._loan.learned_M.grad /= pairs
        self.catalogue.take_back(self._loan)

    def settle(self) -> None:
        self.catalogue.learned.settle()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "catalogue": self.catalogue.learned.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.catalogue.learned.load_state_dict(state["catalogue"])

    def weights(self) -> dict[str, Tensor]:
        return {**super().weights(), "catalogue": self.catalogue.learned.value_LC.clone()}

    def part_of(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What this worker knows of a model with such weights; `whole_state` joins all workers'.

        Training is over then: the optimiser's moments are dropped.
        """
        shared, learned = dict(weights), self.catalogue.learned
        learned.value_LC = shared.pop("catalogue")
        learned.mean_LC = learned.square_LC = torch.empty(0)
        return {**shared, **self.catalogue.part()}

    def model_of(self, weights: Mapping[str, Tensor]) -> MetaModel:
        """The whole model; for a worker who is alone and so has it."""
        state = whole_state([self.part_of(weights)])
        model = copy.deepcopy(self.model, {id(self.catalogue): None})
        model.items = ItemRepresentation(*(state[f"items.{name}"] for name in ITEM_BUFFERS))
        model.load_state_dict(state)
        return model
