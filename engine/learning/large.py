"""Where learning starts over a large catalogue: items' tables spread over the workers.

Beside ``setup``, which keeps every table whole. Each worker counts its own users and keeps its own items; all
do so together. Knows nothing of files or Ray.

Shapes: N catalogue, L rows of this worker, F item features, R signals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.config import Config, ItemsConfig
from engine.data.episodes import EpisodeRules
from engine.evaluation.protocol import query_counts
from engine.learning.assemble import Counted, starting_model
from engine.learning.catalogue import Catalogue, without_rows
from engine.learning.crowd import Crowd, total
from engine.learning.exchange import own_rows
from engine.learning.experiment import Experiment
from engine.learning.large_ridge import fit_large_ridge
from engine.learning.large_start import LARGE_STARTS, LargeKnown, Tally, known_rows, tally
from engine.learning.likeness import own_likeness
from engine.learning.meta import MetaModel
from engine.learning.negatives import Negatives
from engine.learning.objectives import Rating
from engine.learning.spectral import shrink_of
from engine.learning.start import Start


@dataclass(frozen=True)
class Setting:
    """What counting needs to know besides users and items: small, and sent to every worker."""

    config: Config
    n_items: int
    rules: EpisodeRules
    shots_max: int  # at which quality is measured
    value_R: NDArray[np.float64]  # the number each signal stands for, or NaN

    @staticmethod
    def of(experiment: Experiment) -> Setting:
        dataset, shots_max = experiment.dataset, max(experiment.shots)
        return Setting(experiment.config, dataset.n_items, experiment.rules, shots_max, dataset.signals.value)


def build_large_model(setting: Setting, crowd: Crowd, x_LF: Tensor) -> MetaModel:
    """The model as it starts, with this worker's rows of the catalogue.

    Args:
        x_LF: features of this worker's items.
    """
    config, rules = setting.config, setting.rules
    expected = partial(
        query_counts,
        relevant=rules.relevant,
        gap=rules.query_after,
        order=rules.order,
        shots_max=setting.shots_max,
    )
    counts = tally(crowd, setting.n_items, expected)
    known = LargeKnown(crowd, counts, rules.relevant, setting.value_R)
    shrink = shrink_of(config.items.shrink, counts.users_N)
    start = LARGE_STARTS[config.objective](known, config.items.dim, shrink)
    catalogue = _spread(start, x_LF, counts, crowd.n_users, config.items, config.seed)
    ridge = None
    if config.objective != "rating":
        ridge = fit_large_ridge(catalogue, crowd, rules, counts.wanted_N, config.seed)
    target_R = torch.from_numpy(start.target_R)
    items = without_rows(catalogue, level=isinstance(start.objective, Rating))
    counted = Counted(items, target_R, start.scale, start.objective, ridge, catalogue)
    sum_F = total(crowd, lambda part: part.features().sum(axis=0, dtype=np.float64))
    return starting_model(config, counted, (sum_F / crowd.n_users).astype(np.float32))


def _spread(
    start: Start, x_LF: Tensor, counts: Tally, n_users: int, items: ItemsConfig, seed: int
) -> Catalogue:
    """This worker's part of the catalogue; the embeddings of ``start`` are those of its rows."""
    n_items = len(counts.met_N)
    spectral_LD = torch.from_numpy(start.spectral_ND)
    n_alike = min(items.likeness_dim, x_LF.shape[1])
    if n_alike:
        spectral_LD = torch.cat([spectral_LD, own_likeness(x_LF, n_items, n_alike)], dim=1)
    return Catalogue(
        n_items,
        spectral_LD,
        torch.from_numpy(start.base_N)[own_rows(n_items)],
        known_rows(counts, n_users),
        x_LF,
        Negatives(counts.met_N, items.negatives, seed),
        n_alike,
    )
