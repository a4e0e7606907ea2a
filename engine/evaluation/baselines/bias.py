"""The baseline of predicted numbers: what an item usually gets, plus how far the user is from that.

Knows nothing of taste: it moves all items of a user alike.

Shapes: B users, S support (padded), N catalogue, R signals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.episodes import Episodes
from engine.data.histories import Histories
from engine.evaluation.metrics import rmse
from engine.evaluation.protocol import HeldOut

ITEM_DAMPING = 5.0
USER_DAMPINGS = (2.0, 5.0, 10.0, 25.0, 50.0)


@dataclass(frozen=True)
class Bias:
    """``r_i + offset``, the offset being the mean of what the user gave beyond ``r_i``.

    Both are averaged with ``damping`` pretended events that deviate by nothing: so many events an item or
    a user needs before half of its own mean is believed.

    Source: Koren, Bell & Volinsky 2009, eq. 4 (first-order approximation of the rating).
    """

    item_mean_N: NDArray[np.float64]
    value_R: NDArray[np.float64]
    user_damping: float
    name: str = "item mean + user offset"

    def score(self, episodes: Episodes) -> NDArray[np.float32]:
        """Predicted numbers, (B, N)."""
        value_BS = self.value_R[episodes.support_signal.numpy()]
        told_BS = episodes.present.numpy() & np.isfinite(value_BS)
        beyond_BS = np.where(told_BS, value_BS - self.item_mean_N[episodes.support_item.numpy()], 0.0)
        offset_B = beyond_BS.sum(axis=1) / (told_BS.sum(axis=1) + self.user_damping)
        return np.asarray(self.item_mean_N + offset_B[:, None], np.float32)


def fit_bias(train: Histories, n_items: int, value_R: NDArray[np.float64], validation: HeldOut) -> Bias:
    """Item means of the training users; the users' damping is chosen on validation users, for all shots."""
    value = value_R[train.signal]
    told = np.isfinite(value)
    mean, item = value[told].mean(), train.item_row[told]
    total = np.bincount(item, value[told] - mean, minlength=n_items)
    item_mean_N = mean + total / (np.bincount(item, minlength=n_items) + ITEM_DAMPING)
    choices = [Bias(item_mean_N, value_R, damping) for damping in USER_DAMPINGS]
    return min(choices, key=lambda bias: _error(bias, validation))


def _error(bias: Bias, held: HeldOut) -> float:
    by_shots = [rmse(bias.score(e), held.outcomes, bias.value_R) for e in held.episodes.values()]
    return float(np.nanmean(by_shots))
