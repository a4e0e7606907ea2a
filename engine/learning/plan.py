"""All that the outer loop needs besides a model and its users: small, and sent to every worker.

Knows nothing of data sets, files or Ray.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from engine.data.episodes import EpisodeRules
from engine.evaluation.large_validation import spread_quality
from engine.evaluation.protocol import HeldOut
from engine.evaluation.validation import validation_quality
from engine.learning.batches import Batches
from engine.learning.meta import MetaModel, Rule
from engine.learning.optimiser import Rates, optimiser_for
from engine.learning.outer_step import OuterStep
from engine.learning.sampled_step import SampledStep
from engine.learning.training import Schedule, Training


@dataclass(frozen=True)
class Plan:
    """How to train, and whom to judge by."""

    rules: EpisodeRules
    schedule: Schedule
    rates: Rates
    rule: Rule
    population_weight: float
    validation: HeldOut

    def training(
        self,
        model: MetaModel,
        batches: Batches,
        rank: int = 0,
        world: int = 1,
    ) -> Training:
        """The outer loop for ``model``, as worker ``rank`` of ``world``."""
        parts = (model, optimiser_for(model, self.rates), self.rule, self.population_weight)
        if model.catalogue is None:
            step, quality = OuterStep(*parts), partial(validation_quality, self.validation, rank, world)
        else:
            model.catalogue.learn_at(self.rates.table, self.rates.table_decay)
            step = SampledStep(model.catalogue, self.schedule.dropout.items, *parts)
            quality = partial(spread_quality, self.validation, model.catalogue)
        return Training(step, batches, self.rules, self.schedule, quality)
