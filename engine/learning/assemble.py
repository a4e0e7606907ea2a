"""From options and parts to a model, whether it starts anew or comes from an artifact.

Knows nothing of data sets, files or training.

Shapes: D embedding, F user features, R signals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.config import Config, InnerConfig
from engine.learning.catalogue import Catalogue
from engine.learning.descent import Descent
from engine.learning.episodic_ridge import EpisodicRidge
from engine.learning.evidence import Evidence
from engine.learning.inner_loop import ClosedForm
from engine.learning.items import ItemRepresentation
from engine.learning.meta import MetaModel
from engine.learning.objectives import Click, Likelihood, Objective, Ranking, Rating
from engine.learning.prior import UserPrior
from engine.learning.robust import Credence, Tails

ITEM_BUFFERS = ("spectral_ND", "base_N", "warm_N", "x_NF", "imputed_ND", "imputed_base_N")
RIDGE_BUFFERS = ("weight_MC", "item_C", "log_popularity_C", "wanted_R")
RATING_BUFFERS = ("value_R", "centre", "spread")


@dataclass(frozen=True)
class Counted:
    """What counting says of items, events and beginnings: where models start."""

    items: ItemRepresentation
    target_R: Tensor
    scale: float
    objective: Objective
    ridge: EpisodicRidge | None
    catalogue: Catalogue | None = None  # a large one: this worker's rows of it


def starting_model(config: Config, counted: Counted, user_mean_F: NDArray[np.float32]) -> MetaModel:
    """The model as it starts; the counted modules become its own."""
    dim = counted.items.spectral_ND.shape[1]
    model = MetaModel(
        counted.items,
        UserPrior(dim, len(user_mean_F), config.inner.prior_precision, config.inner.unseen_weight),
        Evidence(counted.target_R, config.inner.event_precision),
        inner_loop(config.inner, counted.objective.likelihood, dim, config.seed),
        counted.objective,
        counted.scale,
        counted.ridge,
        doubt_of(config, counted.scale),
    )
    model.prior.x_mean_F.copy_(torch.from_numpy(user_mean_F))
    model.catalogue = counted.catalogue
    return model


def inner_loop(config: InnerConfig, likelihood: Likelihood, dim: int, seed: int) -> ClosedForm | Descent:
    """How users adapt, as the options say."""
    if config.method == "closed_form":
        return ClosedForm(likelihood)
    return Descent(
        likelihood,
        dim,
        config.hidden if config.scope == "decision" else 0,
        config.inner_lr,
        config.inner_steps,
        config.derivative == "second",
        config.learn_inner_lr,
        config.prior_pull,
        seed,
    )


def doubt_of(config: Config, scale: float) -> Tails | Credence | None:
    """How events that do not fit are weighed, as the options say; ``scale``: of scores."""
    if not config.inner.robust:
        return None
    return Tails() if config.objective == "rating" else Credence(scale)


def model_from_state(state: Mapping[str, Tensor], config: Config) -> MetaModel:
    """The model whose ``state_dict`` is ``state``: all shapes are read from it.

    Raises:
        KeyError, RuntimeError: tensors are missing, superfluous or do not fit each other.
    """
    items = ItemRepresentation(*(state[f"items.{name}"] for name in ITEM_BUFFERS))
    n_features, dim = state["prior.from_features_FD"].shape
    objective = _objective(state, config)
    model = MetaModel(
        items,
        UserPrior(dim, n_features, 1.0, 1.0),
        Evidence(state["evidence.target_R"], 1.0),
        inner_loop(config.inner, objective.likelihood, dim, config.seed),
        objective,
        1.0,
        _ridge(state),
        doubt_of(config, 1.0),
    )
    older = {"items.known_N": items.known_N}  # what older artifacts do not tell
    if "items.log_cold_gain_2" not in state:
        older |= {"items.cold_group_D": items.cold_group_D, "items.log_cold_gain_2": items.log_cold_gain_2}
    if isinstance(model.doubt, Credence):
        older["doubt.normalised"] = torch.tensor(False)
    if model.ridge is not None:
        older["ridge.half_at"] = model.ridge.half_at
    model.load_state_dict({**older, **state})
    return model.eval()


def _ridge(state: Mapping[str, Tensor]) -> EpisodicRidge | None:
    if "ridge.weight_MC" not in state:
        return None
    tensors = {name: state[f"ridge.{name}"] for name in RIDGE_BUFFERS}
    half_at = float(state.get("ridge.half_at", math.inf))  # older ridges sum events, however many
    return EpisodicRidge(folds_FMC=None, half_at=half_at, **tensors)


def _objective(state: Mapping[str, Tensor], config: Config) -> Objective:
    if config.objective == "rating":
        return Rating(*(state[f"objective.{name}"] for name in RATING_BUFFERS))
    return Click() if config.objective == "click" else Ranking()
