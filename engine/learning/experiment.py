"""A data set seen through a configuration: who trains, who judges, what is wanted, which items are cold.

Says what is wrong before any training starts. Knows nothing of models, Ray, files or command lines.

Shapes: U users, N catalogue, F features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.config import Config
from engine.data.dataset import Dataset
from engine.data.episodes import EpisodeRules
from engine.data.features.feature_encoder import FeatureEncoder
from engine.data.histories import Histories
from engine.data.split_file import read_split
from engine.errors import ConfigError, DataError
from engine.evaluation.cold_items import draw_cold_items, hold_out_items
from engine.evaluation.protocol import (
    PART,
    HeldOut,
    Split,
    hold_out,
    split_around,
    split_users,
)

MOST_SCORES, FEWEST = 5 * 10**8, 50
"""Scores by which a model is judged where the catalogue is large, and users, whatever their number."""
SCORES_AT_ONCE = 2**24
"""Scores held together there, at all numbers of shots, 64 MiB; or one user's, where these are more."""


@dataclass(frozen=True)
class Experiment:
    """A data set seen through a configuration: who trains, what is wanted, encoded features."""

    config: Config
    dataset: Dataset  # its histories are without the events of cold items
    histories: Histories  # with them
    cold_N: NDArray[np.bool_]  # items held out of training
    split: Split
    relevant: NDArray[np.bool_]  # by signal
    item_encoder: FeatureEncoder
    user_encoder: FeatureEncoder
    item_x: NDArray[np.float32]  # (N, F)
    user_x: NDArray[np.float32]  # (U, F)

    @property
    def default_signal(self) -> int:
        """The commonest of the wanted signals."""
        signals = self.dataset.histories.signal
        counts = np.bincount(signals, minlength=len(self.relevant))
        return int(np.where(self.relevant, counts, -1).argmax())

    @property
    def large(self) -> bool:
        """Are there too many items to see them all in every step?"""
        return self.dataset.n_items > self.config.items.full_softmax_max

    @property
    def order(self) -> Literal["time", "random"]:
        return self.config.episodes.order or ("time" if self.dataset.dated else "random")

    @property
    def shots(self) -> tuple[int, ...]:
        """Where quality is measured: the numbers of shots that fit before the query."""
        gap = self.config.episodes.query_after
        return tuple(k for k in self.config.evaluation.shots if not gap or k <= gap)

    @property
    def rules(self) -> EpisodeRules:
        episodes = self.config.episodes
        return EpisodeRules(
            self.relevant,
            self.order,
            episodes.shots_max,
            episodes.query_after,
            episodes.event_dropout,
            episodes.event_noise,
            len(self.item_x),
        )

    def held_out(self, users: NDArray[np.int64]) -> HeldOut:
        """Cut the histories of held-out users by the evaluation protocol; of many items, fewer users."""
        n_items, at_once = self.dataset.n_items, PART
        if self.large:
            users = users[: max(FEWEST, MOST_SCORES // (n_items * len(self.shots)))]
            at_once = max(1, SCORES_AT_ONCE // (n_items * len(self.shots)))
        held = hold_out(
            self.dataset.histories,
            users,
            self.user_x,
            self.relevant,
            self.shots,
            self.order,
            self.config.episodes.query_after,
            barred_N=self.cold_N,
        )
        return replace(held, at_once=at_once)

    def held_out_items(self, users: NDArray[np.int64]) -> HeldOut:
        """Ask users for the items held out of training, after events with the others."""
        return hold_out_items(
            self.histories,
            self.cold_N,
            users,
            self.user_x,
            self.relevant,
            self.shots,
            self.order,
            self.config.episodes.query_after,
        )


def set_up(dataset: Dataset, config: Config) -> Experiment:
    """Split users and items and encode features; encoders of users see training users alone.

    Raises:
        DataError: too few users, no event counts as wanted, numbers are asked for and there are none, or
            the published split does not fit the data.
        ConfigError: nothing could be measured or learned with these options.
    """
    histories = dataset.histories
    split, cold_N = _split(dataset, config)
    dataset = replace(dataset, histories=histories.without(cold_N))
    split = replace(split, train=split.train[dataset.histories.lengths[split.train] > 0])
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
    experiment = Experiment(
        config,
        dataset,
        histories,
        cold_N,
        split,
        relevant,
        items,
        users,
        items.transform(dataset.items),
        users.transform(dataset.users),
    )
    _check_objective(experiment)
    _check_rule(experiment)
    _check_validation(experiment)
    return experiment


def _check_objective(experiment: Experiment) -> None:
    told = np.isfinite(experiment.dataset.signals.value)
    train = experiment.dataset.histories.take(experiment.split.train)
    if experiment.config.objective == "rating" and not told[train.signal].any():
        raise DataError(
            "the objective is rating, but no event carries a number",
            where=f"signals {', '.join(experiment.dataset.signals.names)}",
            fix="Bring a rating or value column, or set objective to ranking or click.",
        )


def _check_rule(experiment: Experiment) -> None:
    config, n_features = experiment.config, experiment.user_x.shape[1]
    if config.inner.robust and experiment.large:
        raise ConfigError(
            "events are doubted by what is known of all items at once, which a large catalogue does not keep",
            where="inner.robust = true",
            fix="Set it to false, or raise items.full_softmax_max.",
        )
    if config.outer.rule == "reptile" and config.inner.scope == "head" and not n_features:
        raise ConfigError(
            "nothing to learn: Reptile moves where users start, and without features all start at 0",
            where="outer.rule = reptile, inner.scope = head",
            fix="Set inner.scope to decision, or bring users' features.",
        )


def _split(dataset: Dataset, config: Config) -> tuple[Split, NDArray[np.bool_]]:
    """The users by group, and the items held out of training, (N,)."""
    test_share, validation_share = config.evaluation.test_share, config.outer.validation_share
    if config.evaluation.split_file is not None:
        cold = read_split(Path(config.evaluation.split_file), dataset.user_ids, dataset.item_ids)
        return split_around(cold.users_U, config.seed, validation_share), cold.items_N
    met_N = np.bincount(dataset.histories.item_row, minlength=dataset.n_items) > 0
    cold_N = draw_cold_items(met_N, config.evaluation.cold_item_share, config.seed)
    return split_users(dataset.n_users, config.seed, test_share, validation_share), cold_N


def _check_validation(experiment: Experiment) -> None:
    """Say before training that quality cannot be measured, not after its first pass."""
    if not experiment.shots:
        raise ConfigError(
            f"none of evaluation.shots = {list(experiment.config.evaluation.shots)} fits before the query",
            where=f"episodes.query_after = {experiment.config.episodes.query_after}",
            fix="Add 0 to evaluation.shots.",
        )
    try:
        held = experiment.held_out(experiment.split.validation)
    except DataError as error:
        raise DataError(f"validation users: {error.what}", where=error.where, fix=error.fix) from None
    told = np.isfinite(experiment.dataset.signals.value)[held.outcomes.signal]
    if experiment.config.objective == "rating" and not told.any():
        raise DataError(
            "validation users: the objective is rating, but none of their later events carries a number",
            where=f"{len(held.users)} users",
            fix="Raise outer.validation_share, or set objective to ranking or click.",
        )
