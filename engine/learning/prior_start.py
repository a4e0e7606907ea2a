"""Where the map from a user's features to the prior mean starts: at what known users' events say.

A ridge regression of the training users' posteriors on their features, so that a stranger starts where
people like them end up. Knows nothing of training.

Shapes: U users, F user features, D embedding.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.data.episodes import support_only
from engine.data.histories import Histories
from engine.learning.meta import MetaModel

RIDGE = 10.0  # as many users must share a feature before it is half believed
USERS, EVENTS = 20_000, 1_000  # the first and the latest so many are enough
PART = 64  # users solved at once


@torch.no_grad()
def start_prior(model: MetaModel, histories: Histories, user_x: NDArray[np.float32]) -> None:
    """Set G and x_mean of ``w0 = G (x - x_mean)``, in place.

    Args:
        model: as it starts.
        histories, user_x: the training users, (U), (U, F), in random order.
    """
    if not user_x.shape[1]:
        return
    x_UF = torch.from_numpy(user_x[:USERS])
    weight_FD = ridge(x_UF, posteriors(model, histories, len(x_UF)), RIDGE)
    model.prior.from_features_FD.copy_(weight_FD)
    model.prior.x_mean_F.copy_(x_UF.mean(dim=0))


def posteriors(model: MetaModel, histories: Histories, n_users: int) -> Tensor:
    """w of the first users after all their events, from a prior of mean 0, (U, D)."""
    view, parts = model.view(), []
    for first in range(0, n_users, PART):
        runs = [histories.of(user) for user in range(first, min(first + PART, n_users))]
        items, signals = (
            [column[run][-EVENTS:] for run in runs] for column in (histories.item_row, histories.signal)
        )
        episodes = support_only(items, signals, np.zeros((len(runs), 0), np.float32))
        w0_BD = view.phi_ND.new_zeros(len(runs), view.phi_ND.shape[1])
        parts.append(model.adapt(view, w0_BD, episodes).w_BD)
    return torch.cat(parts)


def ridge(x_UF: Tensor, y_UD: Tensor, penalty: float) -> Tensor:
    """(F, D) of ``|y - y_mean - (x - x_mean) W|^2 + penalty |W|^2``: the means are not penalised."""
    x_UF, y_UD = x_UF - x_UF.mean(dim=0), y_UD - y_UD.mean(dim=0)
    gram_FF = x_UF.T @ x_UF + penalty * torch.eye(x_UF.shape[1])
    weight_FD: Tensor = torch.linalg.solve(gram_FF, x_UF.T @ y_UD)
    return weight_FD
