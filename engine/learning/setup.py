"""From a prepared data set and a configuration to a training run: the one place where it is put together.

Knows nothing of Ray, files or command lines.

Shapes: U users, N catalogue, F features, R signals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engine.config import Config
from engine.data.dataset import Dataset
from engine.data.episodes import EpisodeRules, take_episodes
from engine.data.features.feature_encoder import FeatureEncoder
from engine.data.histories import Histories
from engine.errors import DataError
from engine.evaluation.metrics import ndcg_at
from engine.evaluation.protocol import HeldOut, Split, hold_out, split_users
from engine.learning.evidence import Evidence
from engine.learning.items import ItemRepresentation
from engine.learning.meta import MetaModel
from engine.learning.noise import Dropout
from engine.learning.prior import UserPrior
from engine.learning.spectral import cooccurrence_factors
from engine.learning.training import Schedule, Training, optimiser_for

UNWANTED_TARGET = 0.2
"""Where the target of an event that is not wanted starts: it still says that the item was met."""
SCALE = 4.0
"""Where the scale of scores starts."""


@dataclass(frozen=True)
class Experiment:
    """A data set seen through a configuration: who trains, what is wanted, encoded features."""

    config: Config
    dataset: Dataset
    split: Split
    relevant: NDArray[np.bool_]  # by signal
    item_encoder: FeatureEncoder
    user_encoder: FeatureEncoder
    item_x: NDArray[np.float32]  # (N, F)
    user_x: NDArray[np.float32]  # (U, F)

    @property
    def order(self) -> Literal["time", "random"]:
        return self.config.episodes.order or ("time" if self.dataset.dated else "random")

    @property
    def rules(self) -> EpisodeRules:
        episodes = self.config.episodes
        return EpisodeRules(
            self.relevant, self.order, episodes.shots_max, episodes.query_after, episodes.event_dropout
        )

    def held_out(self, users: NDArray[np.int64]) -> HeldOut:
        """Cut the histories of held-out users by the evaluation protocol."""
        return hold_out(
            self.dataset.histories,
            users,
            self.user_x,
            self.relevant,
            self.config.evaluation.shots,
            self.order,
            self.config.episodes.query_after,
        )


def set_up(dataset: Dataset, config: Config) -> Experiment:
    """Split the users and encode features; encoders of users see training users alone.

    Raises:
        DataError: too few users, or no event counts as wanted.
    """
    split = split_users(
        dataset.histories.n_users, config.seed, config.evaluation.test_share, config.outer.validation_share
    )
    if min(len(split.train), len(split.validation)) < 1:
        raise DataError(
            f"{dataset.histories.n_users} users are too few to train and validate on",
            fix="Bring more users, or raise outer.validation_share.",
        )
    relevant = dataset.signals.relevant(config.signals.relevant_min, config.signals.relevant)
    if not relevant[dataset.histories.signal].any():
        raise DataError(
            "no event of the data set counts as wanted",
            where=f"signals {', '.join(dataset.signals.names)}",
            fix="Set signals.relevant_min or signals.relevant.",
        )
    users = FeatureEncoder.fit(dataset.users.take(split.train), dataset.user_kinds)
    items = FeatureEncoder.fit(dataset.items, dataset.item_kinds)
    return Experiment(
        config,
        dataset,
        split,
        relevant,
        items,
        users,
        items.transform(dataset.items),
        users.transform(dataset.users),
    )


def build_model(experiment: Experiment) -> MetaModel:
    """The model as it starts: spectral items, log-popularity, an uninformed prior."""
    config, histories = experiment.config, experiment.dataset.histories.take(experiment.split.train)
    n_items = len(experiment.item_x)
    spectral = cooccurrence_factors(
        histories.user_row,
        histories.item_row,
        (histories.n_users, n_items),
        config.items.dim,
        config.items.shrink,
    )
    popularity = query_counts(histories, experiment.rules, n_items)
    return MetaModel(
        ItemRepresentation(
            torch.from_numpy(spectral),
            torch.from_numpy(np.log(popularity + 0.5).astype(np.float32)),
            torch.from_numpy(np.bincount(histories.item_row, minlength=n_items) > 0),
            torch.from_numpy(experiment.item_x),
        ),
        UserPrior(
            config.items.dim,
            experiment.user_x.shape[1],
            config.inner.prior_precision,
            config.inner.unseen_weight,
        ),
        Evidence(
            torch.from_numpy(np.where(experiment.relevant, 1.0, UNWANTED_TARGET).astype(np.float32)),
            config.inner.event_precision,
        ),
        SCALE,
    )


def build_training(
    experiment: Experiment,
    model: MetaModel,
    wrap: Callable[[MetaModel], nn.Module] = lambda model: model,
    judged: slice = slice(None),
) -> Training:
    """The outer loop for ``model``; ``judged`` is which validation users this worker judges."""
    outer = experiment.config.outer
    train = experiment.split.train
    return Training(
        model,
        optimiser_for(model, outer.outer_lr, outer.weight_decay, outer.table_lr, outer.table_decay),
        experiment.dataset.histories.take(train),
        experiment.user_x[train],
        experiment.rules,
        Schedule(
            experiment.config.seed,
            outer.passes,
            outer.users_per_step,
            outer.patience,
            outer.population_weight,
            Dropout(outer.posterior_dropout, outer.user_dropout, experiment.config.items.dropout),
        ),
        partial(mean_ndcg, experiment.held_out(experiment.split.validation), judged),
        wrap,
    )


@torch.inference_mode()
def mean_ndcg(held: HeldOut, judged: slice, model: MetaModel) -> tuple[float, int]:
    """nDCG@10 averaged over the numbers of shots, as (sum over users, users) of the users ``judged``."""
    view = model.view()
    by_shots = []
    for episodes in held.episodes.values():
        mine = take_episodes(episodes, judged)
        if len(mine):
            scores = model.predict(view, mine.to(view.phi_ND.device))
            by_shots.append(ndcg_at(scores.cpu().numpy(), mine))
    return float(np.mean(by_shots, axis=0).sum()) if by_shots else 0.0, len(range(len(held.users))[judged])


def query_counts(histories: Histories, rules: EpisodeRules, n_items: int) -> NDArray[np.int64]:
    """How often each item occurs among the events that can be queries, (N,).

    Under a time order with a gap these are the wanted events after the gap: what people choose first
    is not what they choose later.
    """
    wanted = rules.relevant[histories.signal]
    if rules.order == "time" and rules.query_after:
        gap = np.minimum(rules.query_after, histories.lengths // 2)
        position = np.arange(histories.n_events) - np.repeat(histories.start[:-1], histories.lengths)
        wanted = wanted & (position >= np.repeat(gap, histories.lengths))
    return np.bincount(histories.item_row[wanted], minlength=n_items)
