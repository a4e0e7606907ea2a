"""From an experiment to a training run: the one place where a model and its outer loop are put together.

Knows nothing of Ray, files or command lines.

Shapes: U users, N catalogue, F features, R signals.
"""

from __future__ import annotations

from functools import partial

import torch

from engine.config import Config
from engine.data.histories import Histories
from engine.evaluation.protocol import (
    query_counts,
)
from engine.evaluation.validation import VALIDATED
from engine.learning.assemble import Counted, starting_model
from engine.learning.batches import InMemory
from engine.learning.crowd import Everyone
from engine.learning.episodic_ridge import fit_episodic_ridge
from engine.learning.experiment import Experiment
from engine.learning.items import ItemRepresentation
from engine.learning.large import Setting, build_large_model
from engine.learning.meta import MetaModel
from engine.learning.noise import Dropout
from engine.learning.objectives import Rating
from engine.learning.optimiser import Rates
from engine.learning.plan import Plan
from engine.learning.spectral import shrink_of
from engine.learning.start import STARTS, Known, Start, known_shares, users_who_met
from engine.learning.training import Schedule, Training
from engine.learning.workers import rank, world


def counted_by(config: Config) -> Config:
    """The options that counting depends on, all others at their defaults: equal ones start alike."""
    plain = Config()
    outer = plain.outer.model_copy(update={"validation_share": config.outer.validation_share})
    items = config.items.model_copy(update={"dropout": plain.items.dropout})
    return config.model_copy(
        update={"items": items, "inner": plain.inner, "outer": outer, "train": plain.train}
    )


def count(experiment: Experiment) -> Counted:
    """Count over the training users, the whole catalogue in one place."""
    config, histories = experiment.config, experiment.dataset.histories.take(experiment.split.train)
    value = experiment.dataset.signals.value
    expected = partial(
        query_counts,
        n_items=experiment.dataset.n_items,
        relevant=experiment.relevant,
        gap=config.episodes.query_after,
        order=experiment.order,
        shots_max=max(experiment.shots),
    )
    known = Known(histories, experiment.dataset.n_items, experiment.relevant, value, expected)
    shrink = shrink_of(config.items.shrink, users_who_met(histories, known.n_items))
    start = STARTS[config.objective](known, config.items.dim, shrink)
    items = _whole_items(experiment, start, histories)
    ridge, user_x = None, experiment.user_x[experiment.split.train]
    if config.objective != "rating":
        wanted, rules = experiment.relevant, experiment.rules
        ridge = fit_episodic_ridge(
            items.spectral_ND, wanted, histories, user_x, rules, expected(histories), config.seed
        )
    return Counted(items, torch.from_numpy(start.target_R), start.scale, start.objective, ridge)


def build_model(experiment: Experiment, counted: Counted | None = None) -> MetaModel:
    """The model as it starts.

    Args:
        counted: what was counted before; its modules become the model's. Not of a large catalogue, of which
            each worker counts its part.
    """
    config, train = experiment.config, experiment.split.train
    user_x = experiment.user_x[train]
    if experiment.large:
        crowd = Everyone(experiment.dataset.histories.take(train), user_x)
        own_x = experiment.item_x[rank() :: world()]
        return build_large_model(Setting.of(experiment), crowd, torch.from_numpy(own_x).contiguous())
    return starting_model(config, count(experiment) if counted is None else counted, user_x.mean(axis=0))


def _whole_items(experiment: Experiment, start: Start, histories: Histories) -> ItemRepresentation:
    """Every item's rows, in one place."""
    known_N = known_shares(histories, len(experiment.item_x))
    items = ItemRepresentation.start(
        torch.from_numpy(start.spectral_ND),
        torch.from_numpy(start.base_N),
        torch.from_numpy(known_N),
        torch.from_numpy(experiment.item_x),
        experiment.config.items.likeness_dim,
        level=isinstance(start.objective, Rating),
    )
    if start.parts is not None:
        items.cross_fit(start.parts)
    return items


def plan_of(experiment: Experiment) -> Plan:
    """The outer loop's settings and its judges."""
    outer, train = experiment.config.outer, experiment.split.train
    dropout = Dropout(outer.posterior_dropout, outer.user_dropout, experiment.config.items.dropout)
    table_decay = outer.table_decay / len(train)
    return Plan(
        experiment.rules,
        Schedule(experiment.config.seed, outer.passes, outer.patience, dropout),
        Rates(outer.scalar_lr, outer.outer_lr, outer.weight_decay, outer.table_lr, table_decay),
        outer.rule,
        outer.population_weight,
        experiment.held_out(experiment.split.validation[:VALIDATED]),
    )


def build_training(
    experiment: Experiment,
    model: MetaModel,
    rank: int = 0,
    world: int = 1,
) -> Training:
    """The outer loop for ``model`` as worker ``rank`` of ``world``, with all users in memory."""
    train, dataset = experiment.split.train, experiment.dataset
    batches = InMemory(
        dataset.histories.take(train),
        [dataset.user_ids[user] for user in train],
        experiment.user_x[train],
        experiment.config.seed,
        experiment.config.outer.users_per_step,
        rank,
        world,
    )
    return plan_of(experiment).training(model, batches, rank, world)
