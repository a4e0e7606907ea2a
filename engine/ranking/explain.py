"""Why an item is on the slate: the exact change had one event not happened.

"Because of X" is a counterfactual. The user is adapted again without X, and so without X's effect on
the age of older events; all S leave-one-out users are one batch of the same solve. Where recency is
flat this equals the rank-one downdate of the posterior (Sherman & Morrison 1950).

Shapes: S support, N catalogue, K slate, J reasons.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.data.events import Support

REASONS = 3


def score_changes(
    scores_N: NDArray[np.float32], without_SN: NDArray[np.float32], slate_K: NDArray[np.int64]
) -> NDArray[np.float32]:
    """What each event adds to the score of each slate item, (S, K)."""
    return np.asarray(scores_N[slate_K] - without_SN[:, slate_K])


def ranks_without(
    without_SN: NDArray[np.float32],
    support: Support,
    candidate_N: NDArray[np.bool_],
    slate_K: NDArray[np.int64],
    exclude_seen: bool,
) -> NDArray[np.int64]:
    """Where each slate item would stand without each event, (S, K), 1 = first.

    Without its event an item is no longer seen, so it is a candidate again and may take a place.
    """
    ranks = np.empty((len(without_SN), len(slate_K)), dtype=np.int64)
    for s, scores_N in enumerate(without_SN):
        allowed_N = candidate_N
        if exclude_seen and support.item_row[s] not in np.delete(support.item_row, s):
            allowed_N = candidate_N.copy()
            allowed_N[support.item_row[s]] = True
        rivals = np.where(allowed_N, scores_N, -np.inf)
        own = scores_N[slate_K, None]
        earlier = np.arange(len(rivals)) < slate_K[:, None]
        ranks[s] = 1 + ((rivals > own) | ((rivals == own) & earlier)).sum(axis=1)
    return ranks


def strongest(change_S: NDArray[np.float32], most: int = REASONS) -> list[int]:
    """The events that matter most, by the size of their change."""
    return np.argsort(-np.abs(change_S), kind="stable")[:most].tolist()
