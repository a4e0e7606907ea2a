"""What features alone say of an item, new or known: how popular it should be, and which items it is like.

Knows nothing of tuning. Neither method looks at an item's own events when it scores it.

Shapes: N catalogue, F item features, B users.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.data.episodes import Episodes
from engine.evaluation.baselines.knowledge import Events, Knowledge

Weighting = Literal["plain", "rare"]


def popularity_by_features(
    knowledge: Knowledge, item_x: NDArray[np.float32], penalty: float
) -> NDArray[np.float32]:
    """Late popularity as the features predict it, in its standard deviations, (N,).

    Ridge regression of ``log(late + 1/2)`` on the features of the items with events; the mean is not
    penalised. The scale is that of `Knowledge.base`.
    """
    met = np.asarray(knowledge.seen.sum(axis=0)) > 0
    y, x = np.log(knowledge.late[met] + 0.5), item_x[met].astype(np.float64)
    centre = x.mean(axis=0)
    x = x - centre
    weight_F = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (y - y.mean()))
    predicted_N = y.mean() + (item_x - centre) @ weight_F
    return np.asarray(predicted_N / max(float(predicted_N.std()), 1e-12), np.float32)


@dataclass(frozen=True)
class FeatureKNN:
    """A user's scores are the sum of an item's cosines with the items of the support."""

    knowledge: Knowledge
    unit_NF: NDArray[np.float32]  # features of length 1, or 0 where an item has none

    def score(self, episodes: Episodes, events: Events) -> NDArray[np.float32]:
        support_BN = self.knowledge.support(episodes, events)
        return np.asarray(support_BN @ self.unit_NF @ self.unit_NF.T, np.float32)


def fit_feature_knn(
    knowledge: Knowledge, item_x: NDArray[np.float32], weighting: Weighting = "plain"
) -> FeatureKNN:
    """Cosine of the encoded features.

    Args:
        item_x: (N, F).
        weighting: "rare": first divide each feature by its root mean square, so that sharing a rare one
            says more than sharing a common one.
    """
    rms_F = np.sqrt((item_x**2).mean(axis=0)) if weighting == "rare" else np.ones(item_x.shape[1])
    x_NF = item_x / np.maximum(rms_F, 1e-6)
    length_N1 = np.linalg.norm(x_NF, axis=1, keepdims=True)
    return FeatureKNN(knowledge, np.asarray(x_NF / np.maximum(length_N1, 1e-12), np.float32))
